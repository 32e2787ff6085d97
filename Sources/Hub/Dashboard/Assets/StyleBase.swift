/// Colours, type, and what every element looks like before any component.
let styleBase = #"""
    :root {
      color-scheme: light dark;
      --paper: light-dark(#f6f3ec, #151814);
      --surface: light-dark(#fffdf8, #1d211b);
      --sunken: light-dark(#efeadf, #11140f);
      --ink: light-dark(#23271f, #ebe8de);
      --muted: light-dark(#5a6053, #a9ae9f);
      --line: light-dark(#ddd6c7, #343a30);
      --line-strong: light-dark(#8d8775, #757c6c);
      --accent: light-dark(#93441a, #eda873);
      --accent-ink: light-dark(#fffaf3, #23150a);
      --accent-soft: light-dark(#f5e4d4, #35261a);
      --ok: light-dark(#2a6641, #8bcda0);
      --ok-soft: light-dark(#e0eee1, #1c2f22);
      --busy: light-dark(#2b5a79, #94c3e0);
      --busy-soft: light-dark(#dfebf2, #1a2b36);
      --warn: light-dark(#7d5200, #e6bd68);
      --warn-soft: light-dark(#f7ebcf, #34290f);
      --bad: light-dark(#a12f27, #f29486);
      --bad-soft: light-dark(#f8e1dc, #3a1e1a);
      --idle: light-dark(#5f6458, #a3a899);
      --idle-soft: light-dark(#eae6db, #282d25);
      --serif: ui-serif, "Iowan Old Style", "Palatino Linotype", Palatino, "Noto Serif", Georgia, serif;
      --sans: ui-sans-serif, system-ui, "Segoe UI", "Noto Sans", "Helvetica Neue", Arial, sans-serif;
      --mono: ui-monospace, "SF Mono", "Cascadia Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
      --radius: 14px;
      --gap: clamp(0.9rem, 0.6rem + 1.2vw, 1.5rem);
    }
    :root[data-theme="light"] { color-scheme: light; }
    :root[data-theme="dark"] { color-scheme: dark; }
    *, *::before, *::after { box-sizing: border-box; }
    html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-padding-top: 5rem; }
    body {
      margin: 0; min-height: 100dvh; background: var(--paper); color: var(--ink);
      font: 400 1rem/1.55 var(--sans); font-variant-numeric: tabular-nums; overflow-wrap: break-word;
    }
    h1, h2, h3 { font-family: var(--serif); font-weight: 600; line-height: 1.2; margin: 0; text-wrap: balance; }
    h1 { font-size: clamp(1.6rem, 1.2rem + 1.8vw, 2.3rem); letter-spacing: -0.015em; overflow-wrap: anywhere; }
    h2 { font-size: 1.25rem; letter-spacing: -0.005em; }
    h3 { font-size: 1.05rem; }
    p { margin: 0; max-width: 68ch; }
    a { color: var(--accent); text-underline-offset: 0.18em; text-decoration-thickness: 1px; }
    a:hover { text-decoration-thickness: 2px; }
    code, pre, kbd, samp, .mono { font-family: var(--mono); font-size: 0.875em; }
    code { overflow-wrap: anywhere; }
    small, .small { font-size: 0.875rem; }
    .muted { color: var(--muted); }
    .nowrap { white-space: nowrap; }
    .number { text-align: right; white-space: nowrap; }
    ul, ol, dl, dd, figure { margin: 0; padding: 0; }
    ul, ol { list-style: none; }
    hr { border: 0; border-top: 1px solid var(--line); margin: 0; }
    svg { display: block; }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
    [hidden] { display: none !important; }
    .visually-hidden {
      position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
      white-space: nowrap;
    }
    .skip {
      position: absolute; left: 1rem; top: -6rem; z-index: 10; padding: 0.7rem 1.1rem; border-radius: 10px;
      background: var(--accent); color: var(--accent-ink);
    }
    .skip:focus { top: 1rem; }
    ::selection { background: var(--accent-soft); color: var(--ink); }
    @media (prefers-reduced-motion: no-preference) {
      a, button, .button, .card, summary { transition: background-color 0.15s, border-color 0.15s, color 0.15s; }
      .glyph-busy .turn { animation: turn 2.4s linear infinite; transform-origin: 8px 8px; }
      .fresh { animation: settle 1.4s ease-out; }
    }
    @keyframes turn { to { transform: rotate(360deg); } }
    @keyframes settle { from { background-color: var(--accent-soft); } }
    @media print {
      .rail, .actions, .live-state, form button { display: none !important; }
      .shell { display: block; }
    }
    """#
