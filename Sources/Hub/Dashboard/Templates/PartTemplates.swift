/// Small parts that pages share: the bird, shapes of states, states, times, crumbs, events.
let partTemplates: [String: String] = [
    "bird": #"""
    <svg viewBox="0 0 32 32" aria-hidden="true" fill="currentColor">\#
    <path d="M30 12.400 25.800 11c-.9-2.300-3-3.700-5.500-3.700-3.600 0-6 2.700-6.300 6L13.400 16 3.500 \#
    23.800l7-.8c1.800 1.900 4.300 3 6.900 3 5.500 0 9.400-4.200 9.400-9.700v-1.700z"/>\#
    <path d="M15.500 25.500V31M19.800 25.500V31" stroke="currentColor" stroke-width="1.800"/>\#
    <circle cx="21.400" cy="12.300" r="1.300" fill="var(--paper)"/></svg>
    """#,
    "bird-perched": #"""
    <svg class="perched" viewBox="0 0 32 32" aria-hidden="true" fill="currentColor">\#
    <path d="M30 12.400 25.800 11c-.9-2.300-3-3.700-5.500-3.700-3.600 0-6 2.700-6.300 6L13.400 16 3.500 \#
    23.800l7-.8c1.800 1.900 4.300 3 6.900 3 5.500 0 9.400-4.200 9.400-9.700v-1.700z"/>\#
    <path d="M15.500 25.500V31M19.800 25.500V31" stroke="currentColor" stroke-width="1.800"/>\#
    <circle cx="21.400" cy="12.300" r="1.300" fill="var(--paper)"/></svg>
    """#,
    "glyph-ok": #"""
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6.500" fill="currentColor"/>\#
    <path d="m5 8.300 2.100 2.100L11.200 6" fill="none" stroke="var(--surface)" stroke-width="1.800" \#
    stroke-linecap="round" stroke-linejoin="round"/></svg>
    """#,
    "glyph-busy": #"""
    <svg class="glyph glyph-busy" viewBox="0 0 16 16" aria-hidden="true">\#
    <circle cx="8" cy="8" r="5.800" fill="none" stroke="currentColor" stroke-width="1.500" opacity=".4"/>\#
    <path class="turn" d="M8 2.200a5.800 5.800 0 0 1 5.800 5.800" fill="none" stroke="currentColor" \#
    stroke-width="2.600" stroke-linecap="round"/></svg>
    """#,
    "glyph-warn": #"""
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 1.600 15 14H1z" fill="currentColor"/>\#
    <path d="M8 6v4" stroke="var(--surface)" stroke-width="1.700" stroke-linecap="round"/>\#
    <circle cx="8" cy="12" r=".95" fill="var(--surface)"/></svg>
    """#,
    "glyph-bad": #"""
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" \#
    fill="currentColor"/><path d="m5.600 5.600 4.800 4.800m0-4.800-4.800 4.800" stroke="var(--surface)" \#
    stroke-width="1.700" stroke-linecap="round"/></svg>
    """#,
    "glyph-dot": #"""
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 3.500 12.500 8 8 12.500 3.500 8z" \#
    fill="currentColor"/></svg>
    """#,
    "glyph-idle": #"""
    <svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="5.500" fill="none" \#
    stroke="currentColor" stroke-width="1.800" stroke-dasharray="2.600 2"/></svg>
    """#,
    "state": #"""
    <span class="state tone-{{.tone}}">{{>*.glyph}}{{.label}}</span>
    """#,
    "time": #"""
    {{#.iso}}<time datetime="{{.iso}}" title="{{.exact}}">{{.text}}</time>{{/.iso}}{{^.iso}}\#
    <span class="muted">never</span>{{/.iso}}
    """#,
    "gauge": #"""
    <div class="gauge tone-{{.tone}}"><span><span class="muted">{{.label}}</span> <span>{{.text}}</span></span>
    <svg class="bar" role="img" aria-label="{{.label}}: {{.percent}} percent">\#
    <rect width="{{.percent}}%" height="100%"/></svg></div>
    """#,
    "events": #"""
    {{#events}}<li data-key="e{{.id}}" class="tone-{{.tone}}">{{>*.glyph}}<div><div class="what">{{.message}}</div>
    <div class="when">{{#.time}}{{>time}}{{/.time}}<span>{{.kind}}</span>{{#.service}}<a href="{{.path}}">{{.label}}\#
    </a>{{/.service}}{{#.node}}<a href="{{.path}}">{{.label}}</a>{{/.node}}{{#.deployment}}\#
    <a href="{{.path}}">deployment {{.label}}</a>{{/.deployment}}</div></div></li>
    {{/events}}
    """#,
    "deployments": #"""
    <div class="table"><table>
    <caption class="visually-hidden">Deployments, newest first</caption>
    <thead><tr><th scope="col">Commit</th><th scope="col">Status</th><th scope="col">Why</th>\#
    <th scope="col">Started</th><th scope="col" class="number">Took</th><th scope="col">\#
    <span class="visually-hidden">Actions</span></th></tr></thead>
    <tbody>{{#deployments}}<tr data-key="d{{.id}}">
    <td data-label="Commit"><div><a class="main mono" href="{{.path}}">{{.commit_short}}\#
    {{^.commit_short}}not resolved{{/.commit_short}}</a>{{#.git_ref}} <span class="tag">{{.git_ref}}</span>\#
    {{/.git_ref}}{{#.service_name}}<div class="small muted">{{.service_name}}</div>{{/.service_name}}</div></td>
    <td data-label="Status"><div>{{#.state}}{{>state}}{{/.state}}{{#.is_serving}} <span class="tag">serving</span>\#
    {{/.is_serving}}{{#.message_short}}<div class="small muted">{{.message_short}}</div>{{/.message_short}}</div></td>
    <td data-label="Why"><div>{{.reason}}{{#.actor}}<div class="small muted">{{.actor}}</div>{{/.actor}}</div></td>
    <td data-label="Started">{{#.created}}{{>time}}{{/.created}}</td>
    <td data-label="Took" class="number">{{.took}}</td>
    <td class="number{{^.rollback_path}} blank{{/.rollback_path}}">{{#.rollback_path}}\#
    <a class="button small" href="{{.rollback_path}}" aria-label="Roll back to {{.commit_short}}">Roll back</a>\#
    {{/.rollback_path}}</td>
    </tr>
    {{/deployments}}</tbody></table></div>
    """#,
    "log": #"""
    {{#logs}}<div class="section">
    <div class="log-head"><h3>{{.label}}</h3>{{#.raw_path}}<a class="small" href="{{.raw_path}}">All of it as \#
    text</a>{{/.raw_path}}</div>
    <pre class="log" tabindex="0" role="log" aria-live="off" aria-label="{{.label}}" data-log="{{.path}}" \#
    data-id="{{.id}}" data-offset="{{.end}}" data-empty="{{.empty}}">{{.text}}</pre>
    </div>{{/logs}}
    """#,
    "change-list": #"""
    <ul class="diff">{{#changes}}<li class="tone-{{.tone}}">{{>*.glyph}}<span>{{.text}}</span>{{#.details}}\#
    <span class="small"><span class="muted">{{.field}}:</span> {{#.old}}<del>{{.old}}</del> {{/.old}}{{#.new}}<ins>{{.new}}</ins>\#
    {{/.new}}{{^.new}}<span class="muted">removed</span>{{/.new}}</span>{{/.details}}</li>{{/changes}}</ul>
    """#,
]
