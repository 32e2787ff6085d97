/// Runs of workflows.
let runTemplates: [String: String] = [
    "runs": #"""
    {{<layout}}{{$content}}
    <header class="head"><h1>Runs</h1><p class="muted">What the hub does step by step, and can undo.</p>\#
    {{>bird-perched}}</header>
    <form class="filters" method="get" action="/workflow-runs"><label>Workflow<select name="workflow">\#
    {{#workflows}}<option value="{{.value}}"{{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>\#
    {{/workflows}}</select></label><label>Status<select name="status">{{#statuses}}\#
    <option value="{{.value}}"{{#.is_selected}} selected{{/.is_selected}}>{{.label}}</option>{{/statuses}}</select>\#
    </label><button>Filter</button></form>
    <div id="live-runs" data-live="workflow-run">
    {{#has_runs}}<div class="table"><table><caption class="visually-hidden">Runs, newest first</caption><thead><tr>\#
    <th scope="col">Workflow</th><th scope="col">Status</th><th scope="col">Started</th>\#
    <th scope="col" class="number">Took</th></tr></thead>
    <tbody>{{#runs}}<tr data-key="r{{.id}}"><td data-label="Workflow"><div>\#
    <a class="main" href="{{.path}}">{{.workflow}}</a><div class="small muted mono">{{.short}}</div></div></td>\#
    <td data-label="Status"><div>{{#.state}}{{>state}}{{/.state}}{{#.message}}<div class="small muted">{{.message}}\#
    </div>{{/.message}}</div></td><td data-label="Started">{{#.created}}{{>time}}{{/.created}}</td>\#
    <td data-label="Took" class="number">{{.took}}</td></tr>
    {{/runs}}</tbody></table></div>{{/has_runs}}
    {{^has_runs}}<div class="empty"><h3>No run</h3><p>Retiring a server, for instance, is done in steps that are \#
    shown here.</p></div>{{/has_runs}}</div>
    {{>pager}}
    {{/content}}{{/layout}}
    """#,
    "run": #"""
    {{<layout}}{{$content}}
    <header class="head"><div class="head-row"><div class="head-title"><h1>{{heading}}</h1>\#
    <span id="live-status" data-live="workflow-run" aria-live="polite">{{#state}}{{>state}}{{/state}}</span></div>
    <div class="actions" id="live-actions" data-live="workflow-run">{{#can_retry}}<form class="inline" method="post" \#
    action="/workflow-runs/{{id}}/retry"><input type="hidden" name="csrf" value="{{csrf}}">\#
    <button class="primary" title="Goes on from the step that failed">Retry</button></form>{{/can_retry}}\#
    {{#can_cancel}}<form class="inline" method="post" action="/workflow-runs/{{id}}/cancel">\#
    <input type="hidden" name="csrf" value="{{csrf}}"><button class="danger" \#
    title="Stops it and undoes what it did">Cancel</button></form>{{/can_cancel}}</div></div>
    <div class="meta" id="live-meta" data-live="workflow-run"><span>Started {{#created}}{{>time}}{{/created}}</span>\#
    {{#finished}}<span>ended {{>time}}</span>{{/finished}}{{#wake}}<span>goes on {{>time}}</span>{{/wake}}\#
    {{#current}}<span>now: {{current}}</span>{{/current}}</div>{{>bird-perched}}</header>
    <div id="live-notice" data-live="workflow-run" aria-live="polite">{{#message}}\#
    <div class="notice tone-{{message_tone}}"><p>{{message}}</p></div>{{/message}}{{#is_cancelling}}\#
    <div class="notice tone-busy"><p>It is being cancelled; what it did is undone.</p></div>{{/is_cancelling}}</div>
    <section class="section" aria-labelledby="steps"><h2 id="steps">Steps</h2>
    <div id="live-steps" data-live="workflow-run">{{#has_steps}}<div class="table"><table>\#
    <caption class="visually-hidden">Steps in the order of the program</caption><thead><tr><th scope="col">Step</th>\#
    <th scope="col">Status</th><th scope="col" class="number">Attempts</th><th scope="col">Started</th>\#
    <th scope="col" class="number">Took</th><th scope="col">Undone</th></tr></thead>
    <tbody>{{#steps}}<tr data-key="s{{.path}}"><td data-label="Step"><div><strong>{{.name}}</strong> \#
    <span class="small muted mono">{{.path}}</span><div class="small muted">{{.kind}}</div></div></td>\#
    <td data-label="Status"><div>{{#.state}}{{>state}}{{/.state}}{{#.error}}<div class="small">{{.error}}</div>\#
    {{/.error}}{{#.next}}<div class="small muted">again {{>time}}</div>{{/.next}}</div></td>\#
    <td data-label="Attempts" class="number">{{.attempts}}</td><td data-label="Started">{{#.started}}{{>time}}\#
    {{/.started}}</td><td data-label="Took" class="number">{{.took}}</td>\#
    <td data-label="Undone"{{^.undo}} class="blank"{{/.undo}}><div>{{#.undo}}{{>state}}{{/.undo}}{{#.undo_error}}\#
    <div class="small">{{.undo_error}}</div>{{/.undo_error}}</div></td></tr>
    {{/steps}}</tbody></table></div>{{/has_steps}}{{^has_steps}}\#
    <p class="muted">The first step has not ended yet.</p>{{/has_steps}}</div></section>
    <section class="card" aria-label="Facts" id="live-facts" data-live="workflow-run">{{>facts}}</section>
    {{/content}}{{/layout}}
    """#,
]
