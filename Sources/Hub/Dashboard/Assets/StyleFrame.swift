/// The frame of a page: the rail with the navigation, the head of a page, cards and grids.
let styleFrame = #"""
    .shell { display: grid; grid-template-columns: 15.5rem minmax(0, 1fr); min-height: 100dvh; }
    .rail {
      position: sticky; top: 0; align-self: start; height: 100dvh; overflow-y: auto; padding: 1.4rem 1rem 1rem;
      display: flex; flex-direction: column; gap: 1.3rem; border-right: 1px solid var(--line);
    }
    .brand {
      display: flex; align-items: end; gap: 0.6rem; padding: 0 0.6rem; color: var(--ink); text-decoration: none;
      font: 600 1.55rem/1 var(--serif); letter-spacing: -0.02em;
    }
    .brand svg { width: 2.2rem; height: 2.2rem; color: var(--accent); margin-bottom: -2px; }
    .menu { display: contents; }
    .menu > summary { display: none; }
    .menu-body { display: flex; flex-direction: column; gap: 1.3rem; flex: 1; }
    .menu::details-content { display: contents; content-visibility: visible; }
    .rail nav ul { display: grid; gap: 2px; }
    .rail nav h2 {
      font: 600 0.75rem/1 var(--sans); letter-spacing: 0.06em; text-transform: uppercase; color: var(--muted);
      padding: 0 0.6rem 0.5rem;
    }
    .rail nav a {
      display: flex; align-items: center; gap: 0.6rem; padding: 0.45rem 0.6rem; border-radius: 9px; color: var(--ink);
      text-decoration: none;
    }
    .rail nav a:hover { background: var(--sunken); }
    .rail nav a[aria-current] {
      background: var(--surface); box-shadow: inset 0 0 0 1px var(--line), inset 3px 0 0 var(--accent); font-weight: 600;
    }
    .rail-foot { margin-top: auto; display: grid; gap: 0.6rem; padding: 0.9rem 0.6rem 0;
      border-top: 1px solid var(--line); }
    .rail-foot .who { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .rail-foot .row { display: flex; gap: 0.4rem; flex-wrap: wrap; }
    .find { position: relative; }
    .find input { padding-right: 2.2rem; }
    .find kbd {
      position: absolute; right: 0.6rem; top: 50%; transform: translateY(-50%); padding: 0 0.4rem; border-radius: 5px;
      border: 1px solid var(--line-strong); color: var(--muted); pointer-events: none;
    }
    .find input:focus + kbd { display: none; }

    main { padding: clamp(1.1rem, 0.4rem + 2.6vw, 2.6rem); padding-bottom: 5rem; min-width: 0;
      container: main / inline-size; }
    .page { max-width: 74rem; margin-inline: auto; display: grid; gap: calc(var(--gap) * 1.3);
      grid-template-columns: minmax(0, 1fr); }
    .crumbs ol { display: flex; flex-wrap: wrap; gap: 0.2rem 0.5rem; font-size: 0.9rem; color: var(--muted); }
    .crumbs li + li::before { content: "/"; margin-right: 0.5rem; color: var(--line-strong); }
    .crumbs a { color: var(--muted); }
    .head { display: grid; gap: 0.7rem; position: relative; padding-bottom: 1.1rem; border-bottom: 2px solid var(--ink); }
    .head-row { display: flex; flex-wrap: wrap; gap: 0.8rem 1.2rem; align-items: center; justify-content: space-between; }
    .head-title { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 0.9rem; min-width: 0; }
    .head .perched {
      position: absolute; right: 0.4rem; bottom: -3px; width: 2.6rem; height: 2.6rem; color: var(--ink);
      pointer-events: none;
    }
    .head.busy-head .perched { display: none; }
    .actions { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
    .meta { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; color: var(--muted); font-size: 0.92rem; }
    .meta > * { display: inline-flex; gap: 0.4rem; align-items: baseline; min-width: 0; overflow-wrap: anywhere; }
    .section { display: grid; gap: 0.8rem; grid-template-columns: minmax(0, 1fr); align-content: start; }
    .section-head { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between;
      gap: 0.4rem 1rem; }
    .card {
      background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 1.1rem 1.25rem;
      display: grid; gap: 0.8rem; grid-template-columns: minmax(0, 1fr); align-content: start; min-width: 0;
    }
    .grid { display: grid; gap: var(--gap); grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
    .split { display: grid; gap: calc(var(--gap) * 1.2); grid-template-columns: minmax(0, 1fr); }
    @container main (min-width: 68rem) { .split { grid-template-columns: minmax(0, 1.75fr) minmax(0, 1fr); } }
    @container main (min-width: 52rem) { .split.even { grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr); } }
    .facts { display: grid; gap: 0.7rem 1.4rem; grid-template-columns: repeat(auto-fill, minmax(min(12rem, 44%), 1fr)); }
    .facts dt { color: var(--muted); font-size: 0.84rem; }
    .facts dd { overflow-wrap: anywhere; }
    .facts .wide { grid-column: 1 / -1; }
    .live-state { display: inline-flex; align-items: center; gap: 0.4rem; color: var(--muted); font-size: 0.84rem; }
    .live-state::before {
      content: ""; width: 0.55rem; height: 0.55rem; border: 2px solid var(--line-strong); border-radius: 50%;
    }
    .live-state[data-state="live"]::before { background: var(--ok); border-color: var(--ok); }
    .live-state[data-state="lost"]::before { border-radius: 0; border-color: var(--warn); }

    .entry { min-height: 100dvh; display: grid; place-items: center; padding: 1.2rem; }
    .entry .page { width: 100%; max-width: 26rem; }
    .entry .brand { font-size: 2.3rem; padding: 0; }
    .entry .brand svg { width: 3.2rem; height: 3.2rem; }
    .perch { border-top: 2px solid var(--ink); margin-top: -0.1rem; padding-top: 1.4rem; display: grid; gap: 1.3rem; }

    @media (max-width: 56rem) {
      .shell { grid-template-columns: minmax(0, 1fr); grid-template-rows: auto 1fr; }
      .rail {
        position: relative; height: auto; overflow: visible; border-right: 0; border-bottom: 1px solid var(--line);
        padding: 0.8rem 1rem; flex-direction: row; flex-wrap: wrap; align-items: center; justify-content: space-between;
      }
      .brand { padding: 0; }
      .menu { display: block; }
      .menu[open] { flex-basis: 100%; }
      .menu > summary { display: inline-flex; position: absolute; right: 1rem; top: 0.8rem; }
      .menu-body { padding-top: 1rem; }
      .menu::details-content { display: block; content-visibility: hidden; }
      .menu[open]::details-content { content-visibility: visible; }
    }
    """#
