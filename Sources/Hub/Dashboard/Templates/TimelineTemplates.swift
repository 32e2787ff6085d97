/// Events, audit log and search.
let timelineTemplates: [String: String] = [
    "events-page": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>Events</h1><p class="muted">What happened on the servers and in the hub, newest \#
    first.</p>{{>bird-perched}}</header>
    <form class="filters" method="get" action="/events"><label>Kind<select name="kind">{{#kinds}}\#
    <option value="{{.value}}"{{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>{{/kinds}}</select>\#
    </label><label>Service<select name="service">{{#services}}<option value="{{.value}}"{{#.is_selected}} \#
    selected{{/.is_selected}}>{{.label}}</option>{{/services}}</select></label><label>Server<select name="node">\#
    {{#nodes}}<option value="{{.value}}"{{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>{{/nodes}}\#
    </select></label><button>Filter</button></form>
    <section class="card" aria-label="Timeline"><ol class="timeline" id="live-events"{{#is_live}} \#
    data-live="event"{{/is_live}}>{{>events}}</ol>{{^has_events}}<p class="muted" id="no-events">No event matches. \#
    Deploy a service, or widen the filter.</p>{{/has_events}}</section>
    {{>pager}}
    {{/content}}{{/layout}}
    """#,
    "logs-page": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>Logs</h1><p class="muted">What services and builds print, newest first.</p>\#
    {{>bird-perched}}</header>
    <form class="filters" method="get" action="/logs"><label>Text<input name="text" value="{{text}}" \#
    maxlength="200"></label><label>Level<select name="level">{{#levels}}<option value="{{.value}}"\#
    {{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>{{/levels}}</select></label>\#
    <label>Output<select name="log_type">{{#types}}<option value="{{.value}}"{{#.is_selected}} \#
    selected{{/.is_selected}}>{{.label}}</option>{{/types}}</select></label><label>Service<select name="service">\#
    {{#services}}<option value="{{.value}}"{{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>\#
    {{/services}}</select></label><label>Server<select name="node">{{#nodes}}<option value="{{.value}}"\#
    {{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>{{/nodes}}</select></label>\#
    <button>Filter</button></form>
    <section class="card" aria-label="Lines" id="live-lines"{{#is_live}} data-live="log"{{/is_live}}>\#
    <ol class="timeline">{{>events}}</ol>{{^has_events}}<p class="muted">No line matches.</p>{{/has_events}}</section>
    {{>pager}}
    {{/content}}{{/layout}}
    """#,
    "audit": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>Audit log</h1><p class="muted">Who changed what, from where, and how it ended. Secrets \#
    are never in here.</p>{{>bird-perched}}</header>
    <form class="filters" method="get" action="/audit-logs"><label>Who<input name="actor" value="{{actor}}" \#
    maxlength="200"></label><label>Resource<input name="resource" value="{{resource}}" maxlength="200" \#
    placeholder="service, or an id"></label><label>Action<input name="action" value="{{action}}" maxlength="100" \#
    placeholder="create, update, …"></label><label>Outcome<input name="outcome" value="{{outcome}}" maxlength="100" \#
    placeholder="ok"></label><button>Filter</button></form>
    {{#has_rows}}<div class="table" id="live-audit"{{#is_live}} data-live="audit stack service deployment node \#
    install-token api-key user"{{/is_live}}><table><caption class="visually-hidden">Audit log</caption><thead><tr>\#
    <th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Outcome</th>\#
    <th scope="col">Request</th></tr></thead>
    <tbody>{{#rows}}<tr data-key="a{{.id}}"><td data-label="When">{{#.time}}{{>time}}{{/.time}}</td>\#
    <td data-label="Who"><div>{{.actor}}<div class="small muted">{{.address}}</div></div></td><td data-label="What">\#
    <div><strong>{{.action}}</strong> {{.resource_kind}}{{#.resource_path}}<div>\#
    <a class="small mono" href="{{.resource_path}}">{{.resource_id}}</a></div>{{/.resource_path}}</div></td>\#
    <td data-label="Outcome">{{#.state}}{{>state}}{{/.state}}</td><td data-label="Request">{{#.body}}\#
    <details id="audit-{{.id}}"><summary>Show</summary><pre class="plain">{{.body}}</pre></details>{{/.body}}</td></tr>
    {{/rows}}</tbody></table></div>{{/has_rows}}
    {{^has_rows}}<div class="empty"><h3>Nothing matches</h3><p>Every change through the API, the command line and \#
    these pages is recorded here.</p></div>{{/has_rows}}
    {{>pager}}
    {{/content}}{{/layout}}
    """#,
    "search": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>Search</h1><p class="muted">{{summary}}</p>{{>bird-perched}}</header>
    {{#has_results}}<div class="table"><table><caption class="visually-hidden">Results</caption><thead><tr>\#
    <th scope="col">Name</th><th scope="col">Kind</th><th scope="col">Status</th></tr></thead><tbody>{{#results}}\#
    <tr><td data-label="Name"><div><a class="main" href="{{.path}}">{{.label}}</a><div class="small muted mono">\#
    {{.id}}</div></div></td><td data-label="Kind">{{.kind}}</td><td data-label="Status">{{#.state}}{{>state}}\#
    {{/.state}}</td></tr>{{/results}}</tbody></table></div>{{/has_results}}
    {{^has_results}}<div class="empty"><h3>{{empty_heading}}</h3><p>Search looks into ids, names, repositories and \#
    addresses of all resources.</p></div>{{/has_results}}
    {{/content}}{{/layout}}
    """#,
]
