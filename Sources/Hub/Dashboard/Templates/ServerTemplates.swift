/// Servers.
let serverTemplates: [String: String] = [
    "node-card": #"""
    <article class="card" data-key="n{{.id}}"><div class="head-row"><h3><a href="{{.path}}">{{.name}}</a></h3>\#
    {{#.state}}{{>state}}{{/.state}}</div>
    <p class="small muted">{{#.is_silent}}<strong>Not heard of since</strong> {{/.is_silent}}\#
    {{^.is_silent}}Heartbeat {{/.is_silent}}{{#.heartbeat}}{{>time}}{{/.heartbeat}}\#
    {{^.heartbeat}}never{{/.heartbeat}}{{#.hostname}} · {{.hostname}}{{/.hostname}}</p>
    {{#.gauges}}{{>gauge}}{{/.gauges}}{{^.has_gauges}}<p class="small muted">No figures yet.</p>{{/.has_gauges}}\#
    </article>
    """#,

    "nodes": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><h1>Servers</h1><div class="actions">{{#can_add}}\#
    <a class="button primary" href="/install-tokens/new">Add server</a>{{/can_add}}</div></div>
    <p class="muted">Each server's agent keeps the services of one stack running, also while this hub is away.</p>\#
    {{>bird-perched}}</header>
    <div id="live-nodes" data-live="node heartbeat">
    {{#has_nodes}}<div class="table"><table><caption class="visually-hidden">Servers</caption>
    <thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Heartbeat</th>\#
    <th scope="col" class="number">Load</th><th scope="col" class="number">Memory</th>\#
    <th scope="col" class="number">Disk</th><th scope="col">Agent</th></tr></thead>
    <tbody>{{#nodes}}<tr data-key="n{{.id}}"><td data-label="Server"><div><a class="main" href="{{.path}}">{{.name}}\#
    </a><div class="small muted">{{#.stack_name}}{{.stack_name}}{{/.stack_name}}{{#.address}} · {{.address}}\#
    {{/.address}}</div></div></td><td data-label="State">{{#.state}}{{>state}}{{/.state}}</td>\#
    <td data-label="Heartbeat">{{#.heartbeat}}{{>time}}{{/.heartbeat}}{{^.heartbeat}}\#
    <span class="muted">never</span>{{/.heartbeat}}</td><td data-label="Load" class="number">{{.load_text}}</td>\#
    <td data-label="Memory" class="number">{{.memory_text}}</td><td data-label="Disk" class="number">{{.disk_text}}\#
    </td><td data-label="Agent">{{.agent_version}}</td></tr>
    {{/nodes}}</tbody></table></div>{{/has_nodes}}
    {{^has_nodes}}<div class="empty"><h3>No server yet</h3><p>Make an install token and run the one line that it \#
    comes with on a Debian server. It joins, builds and runs the stack within a minute.</p>{{#can_add}}\#
    <a class="button primary" href="/install-tokens/new">Add a server</a>{{/can_add}}</div>{{/has_nodes}}</div>
    {{>pager}}
    {{/content}}{{/layout}}
    """#,

    "node": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>{{name}}</h1>\#
    <span id="live-status" data-live="node heartbeat" aria-live="polite">{{#state}}{{>state}}{{/state}}</span></div>
    <div class="actions">{{#edit_path}}<a class="button" href="{{edit_path}}">Rename</a>{{/edit_path}}\#
    {{#retire_path}}<a class="button" href="{{retire_path}}">Retire</a>{{/retire_path}}\#
    {{#delete_path}}<a class="button danger" href="{{delete_path}}">Remove server</a>{{/delete_path}}</div></div>
    <div class="meta" id="live-meta" data-live="node heartbeat"><span>Heartbeat {{#heartbeat}}{{>time}}\#
    {{/heartbeat}}{{^heartbeat}}never{{/heartbeat}}</span>{{#stack_name}}<span>runs <a href="{{stack_path}}">\#
    {{stack_name}}</a></span>{{/stack_name}}{{#generation}}<span>version {{generation}}\#
    {{#stack_version}} of {{stack_version}}{{/stack_version}}</span>{{/generation}}</div>{{>bird-perched}}</header>
    <div id="live-notice" data-live="node" aria-live="polite">{{#leaving_message}}<div class="notice tone-busy">\#
    <p>{{leaving_message}}{{#run_path}} <a href="{{run_path}}">See its run.</a>{{/run_path}}</p></div>\#
    {{/leaving_message}}{{#is_silent}}<div class="notice tone-warn">\#
    <strong>This server is silent</strong><p>Three heartbeats in a row are missing. What it ran goes on running as \#
    far as the server is up; Roost cannot see it. Check that the machine is on and that <code>roost agent</code> \#
    runs.</p></div>{{/is_silent}}</div>
    <div class="split even">
    <div class="section">
    <section class="section" aria-labelledby="services"><h2 id="services">Services there</h2>\#
    <div id="live-reports" data-live="node heartbeat">{{#has_reports}}<div class="table"><table>\#
    <caption class="visually-hidden">Services on this server</caption><thead><tr><th scope="col">Service</th>\#
    <th scope="col">State</th><th scope="col" class="number">Restarts</th><th scope="col" class="number">Memory</th>\#
    </tr></thead><tbody>{{#reports}}<tr><td data-label="Service"><a class="main" href="{{.service_path}}">{{.name}}\#
    </a></td><td data-label="State"><div>{{#.state}}{{>state}}{{/.state}}{{#.last_error}}<div class="small clamp">\#
    {{.last_error}}</div>{{/.last_error}}</div></td><td data-label="Restarts" class="number">{{.restarts}}</td>\#
    <td data-label="Memory" class="number">{{.memory}}</td></tr>{{/reports}}</tbody></table></div>{{/has_reports}}\#
    {{^has_reports}}<p class="muted">It runs nothing yet.</p>{{/has_reports}}</div></section>
    <section class="section" aria-labelledby="events"><h2 id="events">Events</h2>\#
    <ol class="timeline" id="live-events" data-live="event">{{>events}}</ol>{{^has_events}}\#
    <p class="muted">Nothing has happened yet.</p>{{/has_events}}</section>
    </div>
    <section class="section" aria-labelledby="machine"><h2 id="machine">Machine</h2>\#
    <div class="card" id="live-machine" data-live="node heartbeat">{{#gauges}}{{>gauge}}{{/gauges}}{{>facts}}</div>\#
    </section>
    </div>
    {{/content}}{{/layout}}
    """#,
]
