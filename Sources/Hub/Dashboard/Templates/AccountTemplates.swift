/// What a person changes of themselves.
let accountTemplates: [String: String] = [
    "account": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>Your account</h1><p class="muted">{{email}}, {{role}}</p>{{>bird-perched}}</header>
    {{#error}}<div class="notice tone-bad" role="alert"><strong>Nothing was changed</strong><p>{{.error}}</p></div>\#
    {{/error}}
    <section class="card" aria-labelledby="password-head"><h2 id="password-head">Password</h2>
    <form class="stacked" method="post" action="/account/password"><input type="hidden" name="csrf" value="{{csrf}}">
    <input type="hidden" name="email" autocomplete="username" value="{{email}}">
    <div class="field"><label for="current">Current password</label>\#
    <input id="current" name="current_password" type="password" autocomplete="current-password" maxlength="72" \#
    required></div>
    <div class="field"><label for="new">New password</label>\#
    <input id="new" name="password" type="password" autocomplete="new-password" minlength="8" maxlength="72" \#
    required aria-describedby="new-hint"><span class="hint" id="new-hint">At least 8 characters. Your other sessions \#
    end.</span></div>
    <div class="actions"><button class="primary">Change the password</button></div></form></section>
    <section class="card" aria-labelledby="factor-head"><h2 id="factor-head">Second factor</h2>
    {{#totp_enabled}}<p>Logins need a code of your app. {{recovery_codes_left}} recovery codes are left.</p>
    <form class="stacked" method="post" action="/account/totp-remove">\#
    <input type="hidden" name="csrf" value="{{csrf}}">
    <div class="field"><label for="code">Code</label><input id="code" name="code" class="code" maxlength="32" \#
    autocomplete="one-time-code" required aria-describedby="code-hint"><span class="hint" id="code-hint">Of your app, \#
    or a recovery code.</span></div>
    <div class="actions"><button class="danger">Take the second factor away</button></div></form>{{/totp_enabled}}
    {{^totp_enabled}}{{#secret}}<p>Enter this secret in an authenticator app, then the code that it shows.</p>
    <p class="once mono" id="totp-secret">{{secret}}</p>
    <p class="small"><a href="{{uri}}">Open it in an app on this device</a></p>
    <form class="stacked" method="post" action="/account/totp-confirm">\#
    <input type="hidden" name="csrf" value="{{csrf}}"><input type="hidden" name="secret" value="{{secret}}">
    <input type="hidden" name="uri" value="{{uri}}">
    <div class="field"><label for="code">Code</label><input id="code" name="code" class="code" maxlength="32" \#
    autocomplete="one-time-code" required></div>
    <div class="actions"><button class="primary">Turn it on</button><a class="button quiet" href="/account">Cancel</a>\#
    </div></form>{{/secret}}
    {{^secret}}<p>With it, a login needs a code of an authenticator app as well as the password.</p>
    <form method="post" action="/account/totp"><input type="hidden" name="csrf" value="{{csrf}}">\#
    <div class="actions"><button>Set up a second factor</button></div></form>{{/secret}}{{/totp_enabled}}
    </section>
    {{/content}}{{/layout}}
    """#
]
