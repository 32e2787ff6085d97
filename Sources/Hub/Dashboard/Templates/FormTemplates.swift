/// Forms: inputs by kind of field, whole forms, confirmation, preview.
let formTemplates: [String: String] = [
    "field": #"""
    {{#.is_group}}<fieldset><legend>{{.label}}</legend>{{#.hint}}<p class="hint muted small">{{.hint}}</p>{{/.hint}}\#
    {{#.fields}}{{>field}}{{/.fields}}</fieldset>{{/.is_group}}
    {{#.is_check}}<div class="field"><div class="check"><input type="hidden" name="{{.name}}" value="false">\#
    <input type="checkbox" id="{{.id}}" name="{{.name}}" value="true"{{#.is_checked}} checked{{/.is_checked}}\#
    {{#.described_by}} aria-describedby="{{.described_by}}"{{/.described_by}}\#
    {{#.flaw}} aria-invalid="true"{{/.flaw}}><label for="{{.id}}"><strong>{{.label}}</strong></label></div>\#
    {{>field-notes}}</div>{{/.is_check}}
    {{#.is_line}}<div class="field"><label for="{{.id}}">{{.label}}{{>required-mark}}</label>\#
    <input id="{{.id}}" name="{{.name}}" type="{{.input_type}}"{{#.input_mode}} \#
    inputmode="{{.input_mode}}"{{/.input_mode}} value="{{.value}}"{{#.placeholder}} \#
    placeholder="{{.placeholder}}"{{/.placeholder}}{{#.is_required}} required{{/.is_required}}\#
    {{#.is_code}} class="code"{{/.is_code}} autocomplete="{{.autocomplete}}" spellcheck="false" \#
    maxlength="65536"{{#.described_by}} aria-describedby="{{.described_by}}"{{/.described_by}}\#
    {{#.flaw}} aria-invalid="true"{{/.flaw}}>{{>field-notes}}</div>{{/.is_line}}
    {{#.is_text}}<div class="field"><label for="{{.id}}">{{.label}}{{>required-mark}}</label>\#
    <textarea id="{{.id}}" name="{{.name}}" rows="{{.rows}}"{{#.placeholder}} \#
    placeholder="{{.placeholder}}"{{/.placeholder}}{{#.is_required}} required{{/.is_required}} \#
    spellcheck="false"{{#.described_by}} aria-describedby="{{.described_by}}"{{/.described_by}}\#
    {{#.flaw}} aria-invalid="true"{{/.flaw}}>
    {{.value}}</textarea>{{>field-notes}}</div>{{/.is_text}}
    {{#.is_choice}}<div class="field"><label for="{{.id}}">{{.label}}{{>required-mark}}</label>\#
    <select id="{{.id}}" name="{{.name}}"{{#.is_required}} required{{/.is_required}}\#
    {{#.described_by}} aria-describedby="{{.described_by}}"{{/.described_by}}\#
    {{#.flaw}} aria-invalid="true"{{/.flaw}}>{{#.options}}<option value="{{.value}}"{{#.is_selected}} \#
    selected{{/.is_selected}}>{{.label}}</option>{{/.options}}</select>{{>field-notes}}</div>{{/.is_choice}}
    {{#.is_map}}<fieldset><legend>{{.label}}</legend>{{>field-notes}}
    <div class="row-editor" id="{{.id}}">{{#.rows}}<div class="entry-row{{^.has_secret}} plain{{/.has_secret}}">
    <input class="code" name="{{.key_name}}" value="{{.key}}" aria-label="Name {{.number}}" placeholder="NAME" \#
    autocomplete="off" spellcheck="false" maxlength="255"{{#.flaw}} aria-invalid="true"{{/.flaw}}>
    <input class="code" name="{{.value_name}}" value="{{.value}}" aria-label="Value {{.number}}" \#
    placeholder="{{.placeholder}}" autocomplete="off" spellcheck="false"{{#.flaw}} aria-invalid="true"{{/.flaw}}>
    {{#.has_secret}}<span class="check"><input type="checkbox" id="{{.secret_id}}" name="{{.secret_name}}" \#
    value="true"{{#.is_secret}} checked{{/.is_secret}}><label for="{{.secret_id}}">secret</label></span>{{/.has_secret}}
    {{#.flaw}}<span class="flaw field">{{.flaw}}</span>{{/.flaw}}</div>
    {{/.rows}}</div>
    <div><button type="button" class="small" data-add-row="{{.id}}" hidden>Add a row</button></div></fieldset>\#
    {{/.is_map}}
    """#,
    "required-mark": #"""
    {{#.is_required}} <span class="required">(required)</span>{{/.is_required}}
    """#,
    "field-notes": #"""
    {{#.flaw}}<span class="flaw" id="{{.flaw_id}}">{{.label}} {{.flaw}}.</span>{{/.flaw}}{{#.hint}}\#
    <span class="hint" id="{{.hint_id}}">{{.hint}}{{#.example}} For example <code>{{.example}}</code>.{{/.example}}\#
    </span>{{/.hint}}
    """#,
    "form-body": #"""
    <input type="hidden" name="csrf" value="{{csrf}}">{{#version}}<input type="hidden" name="_version" \#
    value="{{version}}">{{/version}}{{#once}}<input type="hidden" name="_once" value="{{once}}">{{/once}}
    {{#error}}<div class="notice tone-bad" role="alert"><strong>{{.error}}</strong>{{#error_hint}}<p>{{.error_hint}}\#
    </p>{{/error_hint}}{{#has_error_list}}<ul>{{#error_list}}<li>{{#.target}}<a href="#{{.target}}">{{.field}}</a>\#
    {{/.target}}{{^.target}}{{.field}}{{/.target}} {{.why}}</li>{{/error_list}}</ul>{{/has_error_list}}</div>{{/error}}
    {{#fields}}{{>field}}{{/fields}}
    {{#has_more_fields}}<details class="more" id="more-fields"{{#is_more_open}} open{{/is_more_open}}>\#
    <summary>More settings</summary><div class="stacked-fields">{{#more_fields}}{{>field}}{{/more_fields}}</div>\#
    </details>{{/has_more_fields}}
    <div class="actions"><button class="primary" name="_step" value="save">{{submit_label}}</button>{{#can_preview}}\#
    <button name="_step" value="preview">Show what would change</button>{{/can_preview}}{{#cancel_path}}\#
    <a class="button quiet" href="{{cancel_path}}">Cancel</a>{{/cancel_path}}</div>
    """#,
    "form": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>{{heading}}</h1>{{#summary}}<p class="muted">{{summary}}</p>{{/summary}}\#
    {{>bird-perched}}</header>
    <form class="stacked" method="post" action="{{action}}" novalidate>{{>form-body}}</form>
    {{/content}}{{/layout}}
    """#,
    "confirm": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>{{heading}}</h1>{{>bird-perched}}</header>
    <div class="section">
    {{#error}}<div class="notice tone-bad" role="alert"><strong>{{.error}}</strong>{{#error_hint}}<p>{{.error_hint}}\#
    </p>{{/error_hint}}</div>{{/error}}
    <p>{{text}}</p>
    {{#has_changes}}<section class="card" aria-labelledby="changes"><h2 id="changes">What would change</h2>\#
    {{>change-list}}</section>{{/has_changes}}
    <form class="stacked" method="post" action="{{action}}"><input type="hidden" name="csrf" value="{{csrf}}">\#
    <input type="hidden" name="_step" value="apply">
    {{#carried}}<input type="hidden" name="{{.name}}" value="{{.value}}">{{/carried}}
    {{#fields}}{{>field}}{{/fields}}
    <div class="actions">{{^is_blocked}}<button class="{{button_class}}">{{submit_label}}</button>{{/is_blocked}}\#
    {{#can_edit}}<button name="_step" value="edit">Back to the form</button>{{/can_edit}}{{#cancel_path}}\#
    <a class="button quiet" href="{{cancel_path}}">Cancel</a>{{/cancel_path}}</div></form>
    </div>
    {{/content}}{{/layout}}
    """#,
    "once": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>{{heading}}</h1>{{>bird-perched}}</header>
    <div class="section">
    <div class="notice tone-warn" role="status"><strong>Shown once</strong>\#
    <p>Roost keeps only a hash or an encrypted copy of this. Copy it now; it cannot be shown again.</p></div>
    {{#reveals}}<section class="card"><div class="section-head"><h2>{{.label}}</h2>\#
    <button type="button" class="small" data-copy="{{.id}}" hidden>Copy</button></div>{{#.hint}}<p class="muted">\#
    {{.hint}}</p>{{/.hint}}<div class="once" id="{{.id}}" tabindex="0" role="group" aria-label="{{.label}}">\#
    {{.value}}</div></section>{{/reveals}}
    <div class="actions"><a class="button primary" href="{{next}}">Done, I have copied it</a></div>
    </div>
    {{/content}}{{/layout}}
    """#,
]
