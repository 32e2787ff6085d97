/// Pages that every kind gets from its declaration.
let genericTemplates: [String: String] = [
    "facts": #"""
    <dl class="facts">{{#facts}}<div{{#.is_wide}} class="wide"{{/.is_wide}}><dt>{{.label}}</dt><dd>{{#.time}}\#
    {{>time}}{{/.time}}{{#.link}}<a href="{{.link}}">{{.text}}</a>{{/.link}}{{#.code}}<code>{{.code}}</code>\#
    {{/.code}}{{#.plain}}{{.plain}}{{/.plain}}{{#.block}}<pre class="plain">{{.block}}</pre>{{/.block}}{{#.none}}\#
    <span class="muted">{{.none}}</span>{{/.none}}</dd></div>{{/facts}}</dl>
    """#,
    "pager": #"""
    {{#has_pager}}<nav class="pager" aria-label="Pages">{{#first_path}}\#
    <a class="button small" href="{{first_path}}">First page</a>{{/first_path}}{{#next_path}}\#
    <a class="button small" href="{{next_path}}" rel="next">Next page</a>{{/next_path}}</nav>{{/has_pager}}
    """#,
    "list": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><h1>{{heading}}</h1><div class="actions">{{#create_path}}\#
    <a class="button primary" href="{{create_path}}">{{create_label}}</a>{{/create_path}}</div></div>
    <p class="muted">{{summary}}</p>{{>bird-perched}}</header>
    {{#show_filters}}<form class="filters" method="get" action="{{list_path}}">\#
    <label>Search<input type="search" name="search" value="{{search}}" maxlength="200"></label>\#
    <label>Status<select name="status">{{#statuses}}<option value="{{.value}}"{{#.is_selected}} \#
    selected{{/.is_selected}}>{{.label}}</option>{{/statuses}}</select></label><button>Filter</button></form>\#
    {{/show_filters}}
    <div id="live-list" data-live="{{live_kinds}}">
    {{#has_rows}}<div class="table"><table><caption class="visually-hidden">{{heading}}</caption><thead><tr>\#
    {{#columns}}<th scope="col">{{.label}}</th>{{/columns}}</tr></thead>
    <tbody>{{#rows}}<tr data-key="{{.key}}">{{#.cells}}<td data-label="{{.label}}"{{#.is_blank}} \#
    class="blank"{{/.is_blank}}>{{#.link}}<a class="main" href="{{.link}}">{{.text}}</a>{{/.link}}{{#.state}}\#
    {{>state}}{{/.state}}{{#.time}}{{>time}}{{/.time}}{{#.plain}}{{.plain}}{{/.plain}}{{#.reference}}\#
    <a href="{{.reference}}">{{.reference_text}}</a>{{/.reference}}</td>{{/.cells}}</tr>
    {{/rows}}</tbody></table></div>{{/has_rows}}
    {{^has_rows}}<div class="empty"><h3>{{empty_heading}}</h3><p>{{empty_text}}</p>{{#create_path}}\#
    <a class="button primary" href="{{create_path}}">{{create_label}}</a>{{/create_path}}</div>{{/has_rows}}</div>
    {{>pager}}
    {{/content}}{{/layout}}
    """#,
    "show": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>{{heading}}</h1>\#
    <span id="live-status" data-live="{{kind}}" aria-live="polite">{{#state}}{{>state}}{{/state}}</span></div>
    <div class="actions">{{#actions}}{{#.is_link}}<a class="button" href="{{.path}}">{{.label}}</a>{{/.is_link}}\#
    {{^.is_link}}<form class="inline" method="post" action="{{.path}}">\#
    <input type="hidden" name="csrf" value="{{csrf}}"><button title="{{.summary}}">{{.label}}</button></form>\#
    {{/.is_link}}{{/actions}}{{#edit_path}}<a class="button" href="{{edit_path}}">Edit</a>{{/edit_path}}\#
    {{#delete_path}}<a class="button danger" href="{{delete_path}}">Delete</a>{{/delete_path}}</div></div>
    <p class="muted">{{summary}}</p>{{>bird-perched}}</header>
    <div id="live-notice" data-live="{{kind}}" aria-live="polite">{{#message}}\#
    <div class="notice tone-{{message_tone}}"><p>{{message}}</p></div>{{/message}}</div>
    <section class="card" aria-label="Fields" id="live-facts" data-live="{{kind}}">{{>facts}}</section>
    {{#has_children}}<section class="section" aria-labelledby="below"><h2 id="below">Below it</h2><ul class="wire">\#
    {{#children}}<li><a href="{{.path}}">{{.label}}</a></li>{{/children}}</ul></section>{{/has_children}}
    {{/content}}{{/layout}}
    """#,
]
