#!/bin/sh
# Turns notes.txt into public/index.html: the build command of the static service of the sample stack.
set -eu

rm -rf public
mkdir -p public

# Text, not markup: what HTML gives a meaning is escaped, then an empty line begins a paragraph.
escape() { sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g'; }
title=$(head -n 1 notes.txt | escape)
body=$(tail -n +2 notes.txt | escape | awk 'BEGIN { RS = "" } { print "<p>" $0 "</p>" }')
built=$(date -u '+%Y-%m-%d %H:%M:%S UTC')

sed -e '/{{body}}/,$d' -e "s|{{title}}|$title|g" page.html > public/index.html
printf '%s\n' "$body" >> public/index.html
sed -e '1,/{{body}}/d' -e "s|{{built}}|$built|g" page.html >> public/index.html
echo "built public/index.html, $(wc -c < public/index.html) bytes"
