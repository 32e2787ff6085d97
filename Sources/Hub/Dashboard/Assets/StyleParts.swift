/// Parts of pages: states, tables, forms, logs, timelines.
let styleParts = #"""
    .button, button {
      display: inline-flex; align-items: center; gap: 0.45rem; font: 600 0.94rem/1.2 var(--sans); cursor: pointer;
      padding: 0.58rem 0.95rem; min-height: 2.5rem; border-radius: 10px; border: 1px solid var(--line-strong);
      background: var(--surface); color: var(--ink); text-decoration: none;
    }
    .button:hover, button:hover { background: var(--sunken); border-color: var(--ink); }
    .button.primary, button.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
    .button.primary:hover, button.primary:hover { background: var(--ink); border-color: var(--ink); color: var(--paper); }
    .button.danger, button.danger { border-color: var(--bad); color: var(--bad); }
    .button.danger:hover, button.danger:hover, button.danger.primary { background: var(--bad); border-color: var(--bad);
      color: var(--paper); }
    .button.quiet, button.quiet { border-color: transparent; background: transparent; color: var(--muted);
      font-weight: 500; }
    .button.quiet:hover, button.quiet:hover { background: var(--sunken); color: var(--ink); }
    .button.small, button.small { padding: 0.32rem 0.65rem; min-height: 2rem; font-size: 0.86rem; }
    button:disabled { opacity: 0.6; cursor: default; }
    form.inline { display: inline; }

    .state {
      display: inline-flex; align-items: center; gap: 0.4rem; padding: 0.12rem 0.6rem 0.12rem 0.4rem; border-radius: 99px;
      font-size: 0.875rem; font-weight: 600; white-space: nowrap; color: var(--tone); background: var(--tone-soft);
    }
    .state svg, .glyph { width: 1rem; height: 1rem; flex: none; color: var(--tone); }
    .tone-ok { --tone: var(--ok); --tone-soft: var(--ok-soft); }
    .tone-busy { --tone: var(--busy); --tone-soft: var(--busy-soft); }
    .tone-warn { --tone: var(--warn); --tone-soft: var(--warn-soft); }
    .tone-bad { --tone: var(--bad); --tone-soft: var(--bad-soft); }
    .tone-idle { --tone: var(--idle); --tone-soft: var(--idle-soft); }
    .tag { padding: 0.08rem 0.5rem; border-radius: 6px; background: var(--idle-soft); font-size: 0.84rem;
      white-space: nowrap; }

    .wire { display: flex; flex-wrap: wrap; column-gap: 1.4rem; border-bottom: 2px solid var(--line-strong); }
    .wire li { display: flex; align-items: end; gap: 0.4rem; padding: 0.5rem 0 0.1rem; max-width: 100%; }
    .wire a { color: var(--ink); text-decoration: none; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .wire a:hover { text-decoration: underline; }
    .wire svg { width: 1.1rem; height: 1.1rem; flex: none; color: var(--tone); margin-bottom: 0.2rem; }

    .notice { border: 1px solid var(--tone); border-left-width: 5px; border-radius: 10px; padding: 0.8rem 1rem;
      background: var(--tone-soft); display: grid; gap: 0.25rem; }
    .notice p { white-space: pre-line; }
    .notice strong { color: var(--tone); }
    .notice ul { list-style: disc; padding-left: 1.2rem; }
    .empty { border: 1.5px dashed var(--line-strong); border-radius: var(--radius); padding: 1.6rem 1.25rem;
      display: grid; gap: 0.7rem; justify-items: start; color: var(--muted); }
    .empty h3 { color: var(--ink); }

    .table { container: table / inline-size; background: var(--surface); border: 1px solid var(--line);
      border-radius: var(--radius); overflow: hidden; }
    table { width: 100%; border-collapse: collapse; }
    caption { text-align: left; }
    th { text-align: left; font-weight: 600; font-size: 0.82rem; color: var(--muted); padding: 0.65rem 1rem;
      border-bottom: 1px solid var(--line); white-space: nowrap; }
    td { padding: 0.7rem 1rem; vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
    tbody tr:last-child td, tbody tr:last-child th { border-bottom: 0; }
    tbody tr:hover { background: color-mix(in srgb, var(--sunken) 45%, transparent); }
    td .main { font-weight: 600; }
    @container table (min-width: 42rem) { td[data-label="Commit"], td[data-label="Started"],
      td[data-label="Last deployed"], td[data-label="When"] { white-space: nowrap; } td[data-label="Commit"] > div {
      white-space: normal; } td[data-label="Commit"] code, td[data-label="Commit"] .main { white-space: nowrap; }
      td[data-label="Reachable at"] { min-width: 13rem; }
      td[data-label="Who"] { min-width: 11rem; } }
    td.number, th.number { text-align: right; }
    @container table (max-width: 42rem) {
      table, tbody, tr, td { display: block; }
      thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
      tr { padding: 0.7rem 1rem; border-bottom: 1px solid var(--line); }
      tbody tr:last-child { border-bottom: 0; }
      td, td.number { border: 0; padding: 0.15rem 0; text-align: left; white-space: normal; display: grid; gap: 0 0.6rem;
        grid-template-columns: minmax(0, 1fr); }
      td[data-label] { grid-template-columns: 6.4rem minmax(0, 1fr); align-items: baseline; }
      td[data-label]::before { content: attr(data-label); color: var(--muted); font-size: 0.84rem; }
      td[data-label] > * { justify-self: start; }
      td:not([data-label]) { padding-top: 0.4rem; justify-items: start; }
      td:empty, td.blank { display: none; }
    }
    .pager { display: flex; gap: 0.6rem; justify-content: end; }
    .filters { display: flex; flex-wrap: wrap; gap: 0.7rem; align-items: end; }
    .filters label { display: grid; gap: 0.2rem; font-size: 0.84rem; color: var(--muted); flex: 1 1 10rem;
      max-width: 17rem; }

    .timeline { display: grid; }
    .timeline li { display: grid; grid-template-columns: 1.1rem minmax(0, 1fr); gap: 0 0.8rem; padding-bottom: 0.9rem;
      position: relative; }
    .timeline li::before { content: ""; position: absolute; left: 0.5rem; top: 1.4rem; bottom: -0.2rem;
      border-left: 1px solid var(--line-strong); }
    .timeline li:last-child::before { display: none; }
    .timeline .glyph { margin-top: 0.25rem; }
    .timeline .what { overflow-wrap: anywhere; white-space: pre-line; }
    .timeline .when { color: var(--muted); font-size: 0.85rem; display: flex; flex-wrap: wrap; gap: 0 0.8rem; }
    .clamp { max-height: 9.5rem; overflow: auto; }

    .bar { width: 100%; height: 0.5rem; border-radius: 4px; background: var(--idle-soft); overflow: hidden; }
    .bar rect { fill: var(--tone, var(--accent)); }
    .gauge { display: grid; gap: 0.25rem; font-size: 0.86rem; }
    .gauge > span { display: flex; justify-content: space-between; gap: 0.6rem; flex-wrap: wrap; }

    .phases { display: grid; gap: 0.5rem; }
    .phases li { display: grid; gap: 0.15rem 0.8rem; grid-template-columns: 1.1rem minmax(5.5rem, 7rem) minmax(0,
      1fr) 4.6rem; align-items: center; }
    .phases .bar { height: 0.7rem; }

    .log {
      margin: 0; padding: 0.9rem 1rem; border-radius: 12px; background: #151a14; color: #dfe4d6; overflow: auto;
      max-height: 28rem; min-height: 6rem; font: 400 0.82rem/1.5 var(--mono); white-space: pre-wrap;
        overflow-wrap: anywhere;
      border: 1px solid var(--line); tab-size: 4;
    }
    .log:empty::before { content: attr(data-empty); color: #a3ab98; font-family: var(--sans); }
    .log-head { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between; }
    .once { font: 500 0.9rem/1.5 var(--mono); background: var(--sunken); border-radius: 10px; padding: 0.9rem 1rem;
      white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line-strong); }
    pre.plain { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.84rem; }

    .stacked-fields { display: grid; gap: 1.15rem; }
    form.stacked { display: grid; gap: 1.15rem; max-width: 46rem; }
    fieldset { border: 1px solid var(--line); border-radius: var(--radius); padding: 1rem 1.1rem 1.2rem; margin: 0;
      display: grid; gap: 1rem; min-width: 0; background: var(--surface); }
    legend { font-weight: 600; padding: 0 0.4rem; }
    .field { display: grid; gap: 0.3rem; min-width: 0; }
    .field > label, .field > .label { font-weight: 600; }
    .field .hint { color: var(--muted); font-size: 0.88rem; }
    .field .flaw { color: var(--bad); font-weight: 600; font-size: 0.9rem; }
    .required { color: var(--muted); font-weight: 400; font-size: 0.85rem; }
    input:not([type="checkbox"], [type="radio"]), select, textarea {
      width: 100%; min-height: 2.6rem; padding: 0.5rem 0.7rem; border-radius: 10px; border: 1px solid var(--line-strong);
      background: var(--surface); color: var(--ink); font: inherit;
    }
    input:focus-visible, select:focus-visible, textarea:focus-visible { outline-offset: 0; border-radius: 10px; }
    textarea { min-height: 5.5rem; resize: vertical; font-family: var(--mono); font-size: 0.88rem; }
    input.code { font-family: var(--mono); font-size: 0.92rem; }
    ::placeholder { color: var(--muted); opacity: 1; }
    [aria-invalid="true"] { border-color: var(--bad); border-width: 2px; }
    input[type="checkbox"] { width: 1.15rem; height: 1.15rem; accent-color: var(--accent); flex: none; margin: 0.2rem 0 0; }
    .check { display: flex; gap: 0.6rem; align-items: start; }
    .row-editor { display: grid; gap: 0.6rem; }
    .row-editor .entry-row { display: grid; gap: 0.5rem; grid-template-columns: minmax(0, 1fr) minmax(0, 1.5fr) auto;
      align-items: center; }
    .row-editor .entry-row.plain { grid-template-columns: minmax(0, 1fr) minmax(0, 1.5fr); }
    @container main (max-width: 34rem) {
      .row-editor .entry-row, .row-editor .entry-row.plain { grid-template-columns: minmax(0, 1fr);
        padding-bottom: 0.6rem; border-bottom: 1px solid var(--line); }
      .phases li { grid-template-columns: 1.1rem minmax(0, 1fr) 4.6rem; }
      .phases .bar { grid-column: 1 / -1; grid-row: 2; }
    }
    details.more > summary { cursor: pointer; color: var(--accent); font-weight: 600; padding: 0.4rem 0;
      width: fit-content; }
    details.more[open] > summary { margin-bottom: 0.6rem; }
    .diff { display: grid; gap: 0.5rem; }
    .diff li { display: grid; gap: 0.15rem; padding-left: 1.7rem; position: relative; overflow-wrap: anywhere; }
    .diff li > .glyph { position: absolute; left: 0; top: 0.25rem; }
    .diff del { color: var(--bad); text-decoration-thickness: 1px; }
    .diff ins { color: var(--ok); text-decoration: none; }
    """#
