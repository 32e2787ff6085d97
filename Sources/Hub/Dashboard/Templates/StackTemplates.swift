/// Overview, stacks, services and deployments.
let stackTemplates: [String: String] = [
    "overview": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><h1>Overview</h1>{{#can_create_stack}}<div class="actions">\#
    <a class="button" href="/stacks/new">New stack</a></div>{{/can_create_stack}}</div>
    <p class="muted" id="live-counts" data-live="service node deployment heartbeat">{{summary}}</p>{{>bird-perched}}\#
    </header>
    <div class="section" id="live-stacks" data-live="stack service deployment node heartbeat">
    {{#stacks}}<section class="card" aria-labelledby="stack-{{.id}}">
    <div class="head-row"><div class="head-title"><h2 id="stack-{{.id}}"><a href="{{.path}}">{{.name}}</a></h2>\#
    {{#.state}}{{>state}}{{/.state}}<span class="muted small">version {{.version}}</span></div>
    <div class="actions">{{#.add_service_path}}<a class="button small" href="{{.add_service_path}}" aria-label="Add \#
    a service to {{.name}}">Add service</a>{{/.add_service_path}}{{#.add_server_path}}\#
    <a class="button small" href="{{.add_server_path}}" aria-label="Add a server to {{.name}}">Add server</a>\#
    {{/.add_server_path}}</div></div>
    {{#.has_services}}<ul class="wire" aria-label="Services of {{.name}}">{{#.services}}<li class="tone-{{.tone}}">\#
    {{>*.glyph}}<a href="{{.path}}">{{.name}}</a><span class="visually-hidden">: {{.state_label}}</span></li>\#
    {{/.services}}</ul>
    {{>service-table}}{{/.has_services}}
    {{^.has_services}}<div class="empty"><h3>Nothing is perched here yet</h3><p>A service is an application or a \#
    static site in a git repository. Roost builds it, runs it on every server of the stack and keeps it running.</p>\#
    {{#.add_service_path}}<a class="button primary" href="{{.add_service_path}}">Add the first service</a>\#
    {{/.add_service_path}}</div>{{/.has_services}}
    <div class="section"><h3>Servers</h3>{{#.has_nodes}}<div class="grid">{{#.nodes}}{{>node-card}}{{/.nodes}}</div>\#
    {{/.has_nodes}}
    {{^.has_nodes}}<p class="muted">No server runs this stack. {{#.add_server_path}}\#
    <a href="{{.add_server_path}}">Add a server</a> with one command.{{/.add_server_path}}</p>{{/.has_nodes}}</div>
    </section>{{/stacks}}
    {{^has_stacks}}<div class="empty"><h3>No stack yet</h3><p>A stack is a set of services that run together on the \#
    servers that joined it.</p>{{#can_create_stack}}<a class="button primary" href="/stacks/new">Make a stack</a>\#
    {{/can_create_stack}}</div>{{/has_stacks}}
    </div>
    <div class="split">
    <section class="section" aria-labelledby="last-deployments" id="live-deployments" data-live="deployment">\#
    <h2 id="last-deployments">Last deployments</h2>{{#has_deployments}}{{>deployments}}{{/has_deployments}}\#
    {{^has_deployments}}<p class="muted">Nothing was deployed yet.</p>{{/has_deployments}}</section>
    <section class="section" aria-labelledby="recent-events"><div class="section-head">\#
    <h2 id="recent-events">Recent events</h2><a href="/events">All events</a></div>\#
    <ol class="timeline" id="live-events" data-live="event">{{>events}}</ol>{{^has_events}}\#
    <p class="muted">Nothing has happened yet.</p>{{/has_events}}</section>
    </div>
    {{/content}}{{/layout}}
    """#,

    "service-table": #"""
    <div class="table"><table>
    <caption class="visually-hidden">Services</caption>
    <thead><tr><th scope="col">Service</th><th scope="col">State</th><th scope="col">Commit</th>\#
    <th scope="col">Reachable at</th><th scope="col">Last deployed</th></tr></thead>
    <tbody>{{#.services}}<tr data-key="s{{.id}}">
    <td data-label="Service"><div><a class="main" href="{{.path}}">{{.name}}</a> <span class="tag">{{.kind}}</span>\#
    </div></td>
    <td data-label="State"><div>{{#.state}}{{>state}}{{/.state}}{{#.note}}<div class="small muted">{{.note}}</div>\#
    {{/.note}}{{#.traffic}}<div class="small muted">{{.traffic}}</div>{{/.traffic}}</div></td>
    <td data-label="Commit">{{#.commit_short}}<code>{{.commit_short}}</code>{{/.commit_short}}{{^.commit_short}}\#
    <span class="muted">none yet</span>{{/.commit_short}}</td>
    <td data-label="Reachable at"><div>{{#.urls}}<div><a href="{{.}}" rel="noreferrer">{{.}}</a></div>{{/.urls}}\#
    {{^.has_urls}}<span class="muted">inside only</span>{{/.has_urls}}</div></td>
    <td data-label="Last deployed">{{#.deployed}}{{>time}}{{/.deployed}}{{^.deployed}}\#
    <span class="muted">never</span>{{/.deployed}}</td>
    </tr>
    {{/.services}}</tbody></table></div>
    """#,

    "stack": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>{{name}}</h1>\#
    <span id="live-state-of" data-live="stack service node deployment" aria-live="polite">{{#state}}{{>state}}\#
    {{/state}}</span></div>
    <div class="actions">{{#add_service_path}}<a class="button primary" href="{{add_service_path}}">Add service</a>\#
    {{/add_service_path}}{{#add_server_path}}<a class="button" href="{{add_server_path}}">Add server</a>\#
    {{/add_server_path}}{{#edit_path}}<a class="button" href="{{edit_path}}">Settings</a>{{/edit_path}}</div></div>
    <div class="meta" id="live-version" data-live="stack"><span>Version <strong>{{version}}</strong></span>{{#hash}}\#
    <span>SHA-256 <code title="{{hash}}">{{hash_short}}</code></span>{{/hash}}</div>
    <div id="live-message" data-live="stack">{{#message}}<p>{{message}}</p>{{/message}}</div>{{>bird-perched}}</header>
    <section class="section" aria-labelledby="services"><h2 id="services">Services</h2>\#
    <div id="live-services" data-live="service deployment node heartbeat">
    {{#has_services}}{{>service-table}}{{/has_services}}
    {{^has_services}}<div class="empty"><h3>Nothing is perched here yet</h3><p>Add a service: an application or a \#
    static site in a git repository.</p>{{#add_service_path}}\#
    <a class="button primary" href="{{add_service_path}}">Add the first service</a>{{/add_service_path}}</div>\#
    {{/has_services}}</div></section>
    <section class="section" aria-labelledby="servers"><h2 id="servers">Servers</h2>\#
    <div id="live-nodes" data-live="node heartbeat">{{#has_nodes}}<div class="grid">{{#nodes}}{{>node-card}}\#
    {{/nodes}}</div>{{/has_nodes}}
    {{^has_nodes}}<div class="empty"><h3>No server yet</h3><p>A server joins with one command and then builds and \#
    runs these services.</p>{{#add_server_path}}<a class="button primary" href="{{add_server_path}}">Add a \#
    server</a>{{/add_server_path}}</div>{{/has_nodes}}</div></section>
    <div class="split even">
    <section class="section" aria-labelledby="events"><h2 id="events">Events</h2>\#
    <ol class="timeline" id="live-events" data-live="event">{{>events}}</ol>{{^has_events}}\#
    <p class="muted">Nothing has happened yet.</p>{{/has_events}}</section>
    <section class="section" aria-labelledby="settings"><div class="section-head"><h2 id="settings">Settings</h2>\#
    {{#edit_path}}<a href="{{edit_path}}">Change</a>{{/edit_path}}</div>\#
    <div class="card" id="live-facts" data-live="stack">{{>facts}}</div>
    {{#document}}<details class="more" id="desired-state"><summary>What the servers are told to run</summary>\#
    <pre class="log" tabindex="0" aria-label="Desired state, without secrets">{{.document}}</pre></details>{{/document}}
    {{#delete_path}}<div><a class="button danger small" href="{{delete_path}}">Delete this stack</a></div>\#
    {{/delete_path}}</section>
    </div>
    {{/content}}{{/layout}}
    """#,

    "service": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>{{name}}</h1>\#
    <span id="live-status" data-live="service deployment node heartbeat" aria-live="polite">{{#state}}{{>state}}\#
    {{/state}}</span></div>
    <div class="actions">{{#deploy_path}}<form class="inline" method="post" action="{{deploy_path}}">\#
    <input type="hidden" name="csrf" value="{{csrf}}"><button class="primary">Deploy</button></form>{{/deploy_path}}\#
    {{#restart_path}}<form class="inline" method="post" action="{{restart_path}}">\#
    <input type="hidden" name="csrf" value="{{csrf}}"><button>Restart</button></form>{{/restart_path}}{{#edit_path}}\#
    <a class="button" href="{{edit_path}}">Settings</a>{{/edit_path}}</div></div>
    <div class="meta" id="live-meta" data-live="service node"><span class="tag">{{kind}}</span>{{#commit_short}}\#
    <span>commit <code title="{{commit}}">{{commit_short}}</code></span>{{/commit_short}}{{#urls}}<span>\#
    <a href="{{.}}" rel="noreferrer">{{.}}</a></span>{{/urls}}<span class="mono small">{{internal_url}}</span></div>\#
    {{>bird-perched}}</header>
    <div id="live-notice" data-live="service deployment" aria-live="polite">{{#message}}\#
    <div class="notice tone-{{message_tone}}"><p class="clamp">{{message}}</p>{{#message_link}}<p>\#
    <a href="{{message_link}}">Look at the deployment</a></p>{{/message_link}}</div>{{/message}}</div>
    <section class="section" aria-labelledby="traffic"><h2 id="traffic">Traffic</h2>\#
    <div id="live-traffic" data-live="heartbeat service">{{#traffic}}<p>{{traffic}}</p>{{/traffic}}{{^traffic}}\#
    <p class="muted">Nobody asked for it since its servers were heard of.</p>{{/traffic}}</div></section>
    <section class="section" aria-labelledby="on-servers"><h2 id="on-servers">On servers</h2>\#
    <div id="live-reports" data-live="node heartbeat service">
    {{#has_reports}}<div class="table"><table><caption class="visually-hidden">State on each server</caption>
    <thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Commit</th>\#
    <th scope="col" class="number">Port</th><th scope="col" class="number">Restarts</th>\#
    <th scope="col" class="number">Memory</th></tr></thead>
    <tbody>{{#reports}}<tr><td data-label="Server"><div><a class="main" href="{{.path}}">{{.node_name}}</a>\#
    {{#.is_silent}} {{#.node_state}}{{>state}}{{/.node_state}}{{/.is_silent}}</div></td><td data-label="State"><div>\#
    {{#.state}}{{>state}}{{/.state}}{{#.phase}} <span class="tag">{{.phase}}</span>{{/.phase}}{{#.last_error}}\#
    <div class="small clamp">{{.last_error}}</div>{{/.last_error}}</div></td><td data-label="Commit">\#
    {{#.commit_short}}<code>{{.commit_short}}</code>{{/.commit_short}}</td><td data-label="Port" class="number">\#
    {{.ports}}</td><td data-label="Restarts" class="number">{{.restarts}}</td>\#
    <td data-label="Memory" class="number">{{.memory}}</td></tr>
    {{/reports}}</tbody></table></div>{{/has_reports}}
    {{^has_reports}}<div class="empty"><h3>On no server yet</h3><p>A server of the stack takes it up within \#
    seconds. If the stack has none, <a href="{{add_server_path}}">add one</a>.</p></div>{{/has_reports}}</div></section>
    {{#has_sites}}<section class="section" aria-labelledby="sites"><h2 id="sites">Sites in front of it</h2>\#
    <ul class="wire" id="live-sites" data-live="site">{{#sites}}<li><a href="{{.path}}">{{.label}}</a> {{#.state}}\#
    {{>state}}{{/.state}}</li>{{/sites}}</ul></section>{{/has_sites}}
    {{#has_logs}}<section class="section" aria-labelledby="logs"><h2 id="logs">Output</h2>{{>log}}</section>\#
    {{/has_logs}}
    <section class="section" aria-labelledby="deployments"><h2 id="deployments">Deployments</h2>\#
    <div id="live-deployments" data-live="deployment service">{{#has_deployments}}{{>deployments}}\#
    {{/has_deployments}}{{^has_deployments}}<p class="muted">Nothing was deployed yet.</p>{{/has_deployments}}</div>\#
    </section>
    <div class="split even">
    <section class="section" aria-labelledby="settings"><div class="section-head"><h2 id="settings">Settings</h2>\#
    {{#edit_path}}<a href="{{edit_path}}">Change</a>{{/edit_path}}</div><div class="card">{{>facts}}</div>
    <h3>Environment</h3>{{#has_env}}<div class="table"><table><caption class="visually-hidden">Environment</caption>\#
    <thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead><tbody>{{#env}}<tr>\#
    <td data-label="Name"><code>{{.key}}</code></td><td data-label="Value">{{#.is_secret}}<span class="muted">\#
    <span aria-hidden="true">••••••••</span> secret</span>{{/.is_secret}}{{^.is_secret}}<code>{{.value}}</code>\#
    {{/.is_secret}}</td></tr>{{/env}}</tbody></table></div>{{/has_env}}{{^has_env}}\#
    <p class="muted">No variables are set.</p>{{/has_env}}</section>
    <div class="section">
    {{#upload_path}}<section class="card" aria-labelledby="upload"><h2 id="upload">Upload</h2>\#
    <p class="muted small">A tar, tar.gz or zip archive becomes the next release, instead of a commit.</p>\#
    <form class="stacked" data-upload="{{upload_path}}" data-csrf="{{csrf}}" hidden>\#
    <label>Archive <input type="file" name="archive" accept=".tar,.gz,.tgz,.zip" required></label>\#
    <div><button>Upload</button></div><p class="small" role="status"></p></form><noscript>\#
    <p class="small">On the command line: <code>roost upload {{name}} FOLDER</code></p></noscript></section>\#
    {{/upload_path}}
    <section class="card" aria-labelledby="deploy-key"><div class="section-head"><h2 id="deploy-key">Deploy key</h2>\#
    <button type="button" class="small" data-copy="deploy-key-text" hidden>Copy</button></div>\#
    <p class="muted small">The public half. Add it to a private repository so that Roost may read it over SSH.</p>\#
    <div class="once" id="deploy-key-text" tabindex="0" role="group" aria-label="Public half of the deploy key">\#
    {{deploy_key}}</div></section>
    <section class="card" aria-labelledby="webhook"><div class="section-head"><h2 id="webhook">Push webhook</h2>\#
    <button type="button" class="small" data-copy="webhook-text" hidden>Copy</button></div>\#
    <p class="muted small">GitHub, GitLab and Gitea deploy on every push when they call this address with the \#
    secret that was shown once.</p><div class="once" id="webhook-text" tabindex="0" role="group" \#
    aria-label="Address of the push webhook">{{webhook_url}}</div>{{#rotate_path}}<div>\#
    <a class="button small" href="{{rotate_path}}">Make a new secret</a></div>{{/rotate_path}}</section>
    <section class="section" aria-labelledby="events"><h2 id="events">Events</h2>\#
    <ol class="timeline" id="live-events" data-live="event">{{>events}}</ol>{{^has_events}}\#
    <p class="muted">Nothing has happened yet.</p>{{/has_events}}</section>
    {{#delete_path}}<div><a class="button danger small" href="{{delete_path}}">Delete this service</a></div>\#
    {{/delete_path}}</div>
    </div>
    {{/content}}{{/layout}}
    """#,

    "deployment": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>Deployment of {{service_name}}</h1>\#
    <span id="live-status" data-live="deployment" aria-live="polite">{{#state}}{{>state}}{{/state}}</span></div>
    <div class="actions">{{#rollback_path}}<a class="button" href="{{rollback_path}}">Roll back to this</a>\#
    {{/rollback_path}}</div></div>
    <div class="meta" id="live-meta" data-live="deployment">{{#commit}}<span>commit <code title="{{commit}}">\#
    {{commit_short}}</code></span>{{/commit}}{{#git_ref}}<span class="tag">{{git_ref}}</span>{{/git_ref}}<span>\#
    {{reason}}</span>{{#actor}}<span>by {{actor}}</span>{{/actor}}<span>{{#created}}{{>time}}{{/created}}</span>\#
    {{#took}}<span>took {{took}}</span>{{/took}}{{#is_serving}}<span class="tag">serving</span>{{/is_serving}}</div>\#
    {{>bird-perched}}</header>
    <div id="live-notice" data-live="deployment" aria-live="polite">{{#message}}\#
    <div class="notice tone-{{message_tone}}">{{#is_failed}}<strong>What went wrong</strong>{{/is_failed}}\#
    <pre class="plain">{{message}}</pre></div>{{/message}}</div>
    <section class="section" aria-labelledby="phases"><h2 id="phases">Phases</h2>\#
    <div id="live-phases" data-live="deployment node heartbeat">
    {{#has_phases}}<div class="card"><ol class="phases">{{#phases}}<li class="tone-{{.tone}}">{{>*.glyph}}<span>\#
    {{.label}}</span><svg class="bar" aria-hidden="true"><rect x="{{.start}}%" width="{{.width}}%" height="100%"/>\#
    </svg><span class="number">{{.took}}</span></li>{{/phases}}</ol></div>{{/has_phases}}{{^has_phases}}\#
    <p class="muted">No server has reported a phase yet.</p>{{/has_phases}}
    {{#has_nodes}}<ul class="wire" aria-label="Phase on each server">{{#nodes}}<li class="tone-{{.tone}}">\#
    {{>*.glyph}}<a href="{{.path}}">{{.name}}</a><span class="muted small">{{.phase}}</span></li>{{/nodes}}</ul>\#
    {{/has_nodes}}</div></section>
    <section class="section" aria-labelledby="output"><h2 id="output">Build output</h2>\#
    <div id="live-outputs" data-live="deployment heartbeat log-added">{{>log}}{{^has_logs}}\#
    <p class="muted">No server has sent output of this build.</p>{{/has_logs}}</div></section>
    <section class="section" aria-labelledby="events"><h2 id="events">Events</h2>\#
    <ol class="timeline" id="live-events" data-live="event">{{>events}}</ol>{{^has_events}}\#
    <p class="muted">No event yet.</p>{{/has_events}}</section>
    {{/content}}{{/layout}}
    """#,
]
