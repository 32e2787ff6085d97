/// The POSIX shell script behind `curl … | sh`.
enum InstallScript {
    /// - Parameters: both are plain text without any character that means something to a shell.
    static func text(hubURL: String, hubKey: String) -> String {
        """
        #!/bin/sh
        # Installs Roost on this server and joins it to the hub.
        set -eu

        hub='\(hubURL)'
        hub_key='\(hubKey)'
        target=/usr/local/bin/roost

        fail() { echo "roost: $1" >&2; exit 1; }

        # Everything is in a function, so that a download that breaks off runs nothing.
        main() {
            [ "$(id -u)" = 0 ] || fail "please run this as root (for example: curl … | sudo sh)"
            [ "$(uname -s)" = Linux ] || fail "this server does not run Linux"
            [ -n "${ROOST_TOKEN:-}" ] || fail "ROOST_TOKEN is not set; run the line that roost server add prints"
            mkdir -p /usr/local/bin
            temporary=$(mktemp "$target.XXXXXX")
            trap 'rm -f "$temporary"' EXIT
            if command -v curl >/dev/null 2>&1; then
                curl -fsSL --retry 3 -o "$temporary" "$hub/install/roost"
            elif command -v wget >/dev/null 2>&1; then
                wget -q -O "$temporary" "$hub/install/roost"
            else
                fail "curl or wget is needed"
            fi
            chmod 0755 "$temporary"
            "$temporary" --help >/dev/null 2>&1 \\
                || fail "the program does not run here (the hub runs another system or architecture)"
            mv -f "$temporary" "$target"
            trap - EXIT
            # The token stays in the environment: the list of processes is public.
            "$target" agent join "$hub" --hub-key "$hub_key"
            "$target" agent install
        }

        main

        """
    }
}
