/// Pages about sites.
let siteTemplates: [String: String] = [
    "site": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>{{name}}</h1>\#
    <span id="live-status" data-live="site node heartbeat" aria-live="polite">{{#state}}{{>state}}{{/state}}</span></div>
    <div class="actions">{{#retry_path}}<form class="inline" method="post" action="{{retry_path}}">\#
    <input type="hidden" name="csrf" value="{{csrf}}"><button class="primary">Try again</button></form>{{/retry_path}}\#
    {{#edit_path}}<a class="button" href="{{edit_path}}">Settings</a>{{/edit_path}}</div></div>
    <div class="meta" id="live-meta" data-live="site node">{{#url}}<span><a href="{{url}}" rel="noreferrer">{{url}}</a>\#
    </span>{{/url}}{{#upstream}}<span>→ {{#.path}}<a href="{{.path}}">{{.text}}</a>{{/.path}}{{^.path}}\#
    <code>{{.text}}</code>{{/.path}}</span>{{/upstream}}</div>{{>bird-perched}}</header>
    <div id="live-notice" data-live="site node" aria-live="polite">{{#message}}\#
    <div class="notice tone-{{message_tone}}"><p>{{message}}</p></div>{{/message}}</div>
    <section class="section" aria-labelledby="certificate"><h2 id="certificate">Certificate</h2>\#
    <p id="live-certificate" data-live="site node">{{certificate}}{{#certificate_ends}}, ends {{>time}}\#
    {{/certificate_ends}}</p></section>
    <section class="section" aria-labelledby="on-servers"><h2 id="on-servers">On servers</h2>\#
    <div id="live-servers" data-live="site node heartbeat">
    {{#has_servers}}<div class="table"><table><caption class="visually-hidden">State on each server</caption>
    <thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Certificate ends</th></tr></thead>
    <tbody>{{#servers}}<tr><td data-label="Server">{{#.path}}<a class="main" href="{{.path}}">{{.name}}</a>{{/.path}}\#
    {{^.path}}{{.name}}{{/.path}}</td><td data-label="State"><div>{{#.state}}{{>state}}{{/.state}}{{#.message}}\#
    <div class="small clamp">{{.message}}</div>{{/.message}}</div></td><td data-label="Certificate ends">{{#.ends}}\#
    {{>time}}{{/.ends}}{{^.ends}}<span class="muted">none</span>{{/.ends}}</td></tr>
    {{/servers}}</tbody></table></div>{{/has_servers}}
    {{^has_servers}}<div class="empty"><h3>On no server yet</h3><p>A server of the stack takes it up within \#
    seconds. If the stack has none, <a href="{{add_server_path}}">add one</a>.</p></div>{{/has_servers}}</div></section>
    {{#shows_users}}<section class="section" aria-labelledby="users"><div class="section-head"><h2 id="users">Users</h2>\#
    {{#add_user_path}}<a class="button small" href="{{add_user_path}}">Add user</a>{{/add_user_path}}</div>\#
    <div id="live-users" data-live="site-user">{{#has_users}}<div class="table"><table>\#
    <caption class="visually-hidden">Users</caption><thead><tr><th scope="col">Name</th>\#
    <th scope="col">Password set</th></tr></thead>
    <tbody>{{#users}}<tr><td data-label="Name"><a class="main" href="{{.path}}">{{.name}}</a></td>\#
    <td data-label="Password set">{{#.changed}}{{>time}}{{/.changed}}</td></tr>
    {{/users}}</tbody></table></div>{{/has_users}}{{^has_users}}<div class="empty"><h3>No user yet</h3>\#
    <p>Without one, nobody may pass.</p></div>{{/has_users}}</div></section>{{/shows_users}}
    {{#has_shared}}<section class="section" aria-labelledby="shared"><h2 id="shared">In front of the same</h2>\#
    <ul class="wire">{{#shared}}<li><a href="{{.path}}">{{.label}}</a> {{#.state}}{{>state}}\#
    {{/.state}}</li>{{/shared}}</ul></section>{{/has_shared}}
    <section class="section" aria-labelledby="settings"><div class="section-head"><h2 id="settings">Settings</h2>\#
    {{#edit_path}}<a href="{{edit_path}}">Change</a>{{/edit_path}}</div>\#
    <div class="card" id="live-facts" data-live="site">{{>facts}}</div>
    {{#delete_path}}<div><a class="button danger small" href="{{delete_path}}">Remove this site</a></div>\#
    {{/delete_path}}</section>
    {{/content}}{{/layout}}
    """#
]
