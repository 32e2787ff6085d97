/// The frame around every page, and pages that stand alone.
let frameTemplates: [String: String] = [
    "document": #"""
    <!doctype html>
    <html lang="en"{{#theme_forced}} data-theme="{{theme_forced}}"{{/theme_forced}}>
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{{title}} · Roost</title>
    <link rel="stylesheet" href="{{style_path}}">
    <link rel="icon" href="{{icon_path}}" type="image/svg+xml">
    <script src="{{script_path}}" defer></script>
    </head>
    <body data-now="{{now}}"{{#topics}} data-topics="{{topics}}"{{/topics}}>
    {{$body}}{{/body}}
    </body>
    </html>
    """#,

    "layout": #"""
    {{<document}}{{$body}}
    <a class="skip" href="#main">Skip to the content</a>
    <div class="shell">
    <header class="rail">
    <a class="brand" href="/">{{>bird}}<span>Roost</span></a>
    <details class="menu" id="menu">
    <summary class="button small">Menu</summary>
    <div class="menu-body">
    <search>
    <form action="/search" method="get" class="find">
    <label class="visually-hidden" for="find">Search everything</label>
    <input id="find" name="q" type="search" placeholder="Search" value="{{query}}" maxlength="200" autocomplete="off">
    <kbd aria-hidden="true">/</kbd>
    </form>
    </search>
    <nav aria-label="Main">
    <ul>{{#navigation}}<li><a href="{{.path}}"{{#.is_current}} aria-current="page"{{/.is_current}}>{{.label}}</a></li>
    {{/navigation}}</ul>
    </nav>
    {{#has_more_navigation}}<nav aria-labelledby="nav-manage">
    <h2 id="nav-manage">Manage</h2>
    <ul>{{#more_navigation}}<li><a href="{{.path}}"{{#.is_current}} aria-current="page"{{/.is_current}}>{{.label}}\#
    </a></li>
    {{/more_navigation}}</ul>
    </nav>{{/has_more_navigation}}
    <div class="rail-foot">
    <span class="live-state" id="live-state" role="status">{{#topics}}Connecting…{{/topics}}\#
    {{^topics}}Not live{{/topics}}</span>
    {{#has_account}}<a class="who small" href="/account" title="Your account">{{who}}</a>{{/has_account}}\#
    {{^has_account}}<span class="who small" title="{{who}}">{{who}}</span>{{/has_account}}
    <div class="row">
    <form method="post" action="/theme" data-theme><input type="hidden" name="csrf" value="{{csrf}}">
    <input type="hidden" name="back" value="{{here}}">
    <button class="quiet small" name="theme" value="{{theme_next}}"><span>Theme: {{theme}}</span></button></form>
    <form method="post" action="/logout"><input type="hidden" name="csrf" value="{{csrf}}">
    <button class="quiet small">Log out</button></form>
    </div>
    </div>
    </div>
    </details>
    </header>
    <main id="main" tabindex="-1">
    <div class="page">
    {{#has_crumbs}}<nav class="crumbs" aria-label="You are here"><ol>{{#crumbs}}<li>{{#.path}}<a href="{{.path}}">\#
    {{.label}}</a>{{/.path}}{{^.path}}<span aria-current="page">{{.label}}</span>{{/.path}}</li>{{/crumbs}}</ol>\#
    </nav>{{/has_crumbs}}
    {{#flash}}<div class="notice tone-{{.tone}}" role="status"><p>{{.text}}</p></div>{{/flash}}
    {{$content}}{{/content}}
    </div>
    </main>
    </div>
    {{/body}}{{/document}}
    """#,

    "login": #"""
    {{<document}}{{$body}}
    <main class="entry" id="main">
    <div class="page">
    <div><a class="brand" href="/">{{>bird}}<span>Roost</span></a>
    <div class="perch">
    <h1 class="visually-hidden">Log in to Roost</h1>
    {{#error}}<div class="notice tone-bad" role="alert"><strong>Not logged in</strong><p>{{.error}}</p></div>{{/error}}
    {{#info}}<div class="notice tone-busy" role="status"><p>{{.info}}</p></div>{{/info}}
    {{#ticket}}<form class="stacked" method="post" action="/login">
    <input type="hidden" name="next" value="{{next}}"><input type="hidden" name="ticket" value="{{ticket}}">
    <div class="field"><label for="code">Code</label>
    <input id="code" name="code" autocomplete="one-time-code" class="code" maxlength="32" required autofocus \#
    aria-describedby="code-hint">
    <span class="hint" id="code-hint">From your authenticator app, or a recovery code.</span></div>
    <div><button class="primary">Log in</button></div>
    </form>{{/ticket}}{{^ticket}}
    <form class="stacked" method="post" action="/login">
    <input type="hidden" name="next" value="{{next}}">
    <div class="field"><label for="key">API key</label>
    <input id="key" name="key" type="password" autocomplete="current-password" class="code" \#
    maxlength="512"{{^email}} autofocus{{/email}} aria-describedby="key-hint">
    <span class="hint" id="key-hint">The administrator's key is in <code>admin.key</code>, in the hub's data \#
    folder.</span></div>
    <div><button class="primary">Log in with the key</button></div>
    </form>
    <hr>
    <form class="stacked" method="post" action="/login">
    <input type="hidden" name="next" value="{{next}}">
    <div class="field"><label for="email">Email</label>
    <input id="email" name="email" type="email" autocomplete="username" value="{{email}}" maxlength="254" required>\#
    </div>
    <div class="field"><label for="password">Password</label>
    <input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required>\#
    </div>
    <div><button>Log in as a user</button></div>
    </form>{{/ticket}}
    </div></div>
    </div>
    </main>
    {{/body}}{{/document}}
    """#,

    "problem": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>{{heading}}</h1>{{>bird-perched}}</header>
    <div class="section">
    <p>{{message}}</p>
    {{#hint}}<p class="muted">{{hint}}</p>{{/hint}}
    <div class="actions"><a class="button" href="/">Go to the overview</a>{{#back}}\#
    <a class="button quiet" href="{{back}}">Go back</a>{{/back}}</div>
    </div>
    {{/content}}{{/layout}}
    """#,
]
