"""The table of docs/performance.md, from what was measured. What was not is said, with the reason."""

import re

from machine import median

BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"
HEAD = ["measure", "ipsec-gw", "strongSwan", "ceiling", "median ratio (runs)", "must", "stretch", "reached", "sitting"]


def times(ratio, less=False):
    """`12x`; a cost as `1/12`, or as it is where it is no saving."""
    return f"1/{number(ratio)}" if less and ratio >= 1 else f"{number(1 / ratio if less else ratio)}x"


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values, unit=""):
    """Median and range."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    text = number(median(values)) + unit
    return text if len(values) == 1 else f"{text} ({number(min(values))}...{number(max(values))})"


def judged(value, must, stretch, less=False):
    if less:
        value, must, stretch = -value, -must, -stretch
    return "stretch" if value >= stretch else "yes" if value >= must else "no"


class Table:
    def __init__(self, results):
        self.results, self.lines, self.sittings = results, [], []

    def sitting(self, row):
        """The number of the sitting that a row is from; what differs from row to row of one sitting is left out."""
        facts = self.results[row]["machine"]
        key = {name: facts[name] for name in facts if name != "load"} | {"runs": self.results[row]["runs"]}
        if key not in [known for known, _ in self.sittings]:
            self.sittings.append((key, []))
        index = next(place for place, (known, _) in enumerate(self.sittings) if known == key)
        self.sittings[index][1].append(facts["load"])
        return index + 1

    def add(self, row, measure, *cells):
        self.lines.append([measure, *cells, str(self.sitting(row))])

    def absent(self, row, measure, must, stretch, reason):
        reason = re.sub(r"\s+", " ", reason).replace("|", "/")[:160]
        self.lines.append([measure, f"not measured: {reason}", "", "", "", must, stretch, "", str(self.sitting(row)) if row in self.results else ""])

    def text(self):
        lines = ["| " + " | ".join(cells) + " |" for cells in [HEAD, ["---"] * len(HEAD)] + self.lines]
        lines.append("")
        for index, (facts, loads) in enumerate(self.sittings, 1):
            busy = f"load average {min(loads):.1f} to {max(loads):.1f} when its rows ended (of an undisturbed run: about 2)"
            lines.append(f"Sitting {index}: {facts['date']}, commit {facts['commit']}; {facts['cpu']}, {facts['cores']} processors, {facts['system']}, "
                         f"Linux {facts['kernel']}; {facts['runs']} run{'s' if facts['runs'] > 1 else ''} each; {busy}."
                         + (f" {facts['note']}" if facts.get("note") else ""))
            lines.append("")
        return "\n".join(lines).rstrip() + "\n"


def _measured(results, row):
    return results[row]["measured"] if row in results else None


def _values(found, system, way, key):
    return [run[key] for run in found["systems"].get(system, {}).get(way, [])]


def _lost(found, system, way):
    """Where it is more than 1 %."""
    most = max((run.get("loss", 0) for run in found["systems"].get(system, {}).get(way, [])), default=0)
    return f", lost up to {most:.0%}" if most > 0.01 else ""


def _reason(measured, *systems):
    if measured is None:
        return "not run yet"
    missing = measured.get("missing", {})
    return next((missing[name] for name in (*systems, "all") if name in missing), "no figure")


def _against(table, row, measure, way, key, unit, musts, peer="strongswan", less=False, ours="ours"):
    """Ours over the peer's; `less`: the peer's over ours, as 1/x."""
    found = _measured(table.results, row)
    must, stretch = musts
    shown = [f"1/{value:g}" if less else f"{value:g}x" for value in musts]
    own = _values(found, ours, way, key) if found and "systems" in found else []
    other = _values(found, peer, way, key) if own else []
    if not own or not other:
        return table.absent(row, f"{measure}, {way}", *shown, _reason(found, ours, peer))
    ratios = [b / a if less else a / b for a, b in zip(own, other)]
    middle = median(other) / median(own) if less else median(own) / median(other)
    runs = "" if len(ratios) == 1 else f" ({times(min(ratios), less)}...{times(max(ratios), less)})"
    ceiling = spread(_values(found, "ceiling", way, key))
    table.add(row, f"{measure}, {way}, {unit}", spread(own) + _lost(found, ours, way), spread(other) + _lost(found, peer, way), ceiling, times(middle, less) + runs, *shown, judged(middle, must, stretch))


def _ceiling_share(table, way):
    found = _measured(table.results, "tcp")
    own = _values(found, "ours", way, "gbps") if found and "systems" in found else []
    top = _values(found, "ceiling", way, "gbps") if own else []
    if not top:
        return table.absent("tcp", f"share of the ceiling's throughput, {way}", "85 %", "95 %", _reason(found, "ours", "ceiling"))
    share = median(own) / median(top)
    shares = [a / b * 100 for a, b in zip(own, top)]
    runs = "" if len(shares) == 1 else f" ({min(shares):.0f}...{max(shares):.0f})"
    table.add("tcp", f"share of the ceiling's throughput, {way}", spread(own), "-", spread(top), f"{share * 100:.0f} %{runs}", "85 %", "95 %",
              judged(share, 0.85, 0.95))


def _cbc(table, way):
    found = _measured(table.results, "cbc")
    gcm = _values(found, "gcm", way, "cpu_per_gb") if found and "systems" in found else []
    cbc = _values(found, "cbc", way, "cpu_per_gb") if gcm else []
    measure = f"AES-256-CBC + SHA-256 against AES-128-GCM, {way}, CPU s per GB"
    if not cbc:
        return table.absent("cbc", measure, "1.8x", "1.3x", _reason(found, "gcm", "cbc"))
    ratio = median(cbc) / median(gcm)
    runs = [b / a for a, b in zip(gcm, cbc)]
    between = "" if len(runs) == 1 else f" ({number(min(runs))}x...{number(max(runs))}x)"
    table.add("cbc", measure, f"{spread(cbc)}; GCM {spread(gcm)}", "-", "-", f"{number(ratio)}x{between}", "1.8x", "1.3x",
              judged(ratio, 1.8, 1.3, less=True))


def _sessions(table):
    """What a processor carries is what the CPU of a packet leaves room for: the load on the other one would be the limit sooner."""
    found = _measured(table.results, "sessions")
    measure = "throughput of a processor with 1, 1,000, 10,000 sessions, kpps (1 / CPU per packet of 1400 octets)"
    runs = (found or {}).get("sessions", {})
    if len(runs) < 3:
        return table.absent("sessions", measure, "10 %", "5 %", _reason(found, "1", "1000", "10000"))
    values = {count: [1000 / run["us"] for run in runs[count]] for count in ("1", "1000", "10000")}
    medians = [median(values[count]) for count in values]
    apart = 1 - min(medians) / max(medians)
    measured = ", ".join(f"{number(median([run['kpps'] for run in runs[count]]))} (lost {max(run['loss'] for run in runs[count]):.1%})" for count in values)
    table.add("sessions", measure, "; ".join(spread(values[count]) for count in values) + f"; measured at kpps: {measured}", "-", "-",
              f"{apart * 100:.0f} % apart", "10 %", "5 %", judged(apart, 0.10, 0.05, less=True))


def _memory(table):
    found = _measured(table.results, "memory")
    measure = "memory per idle session, 1,000 to 10,000, KiB"
    slopes = [run["octets_per_session"] / 1024 for run in (found or {}).get("ours", [])]
    if not slopes:
        return table.absent("memory", measure, "24", "8", _reason(found, "ours"))
    table.add("memory", measure, spread(slopes), "-", "-", "-", "24", "8", judged(median(slopes), 24, 8, less=True))


def _setup(table):
    found = _measured(table.results, "setup")
    measure = "PSK/X25519 setup and delete, CPU ms of the gateway"
    own, other = ([run["cpu_ms"] for run in (found or {}).get(name, [])] for name in ("ours", "strongswan"))
    if not own or not other:
        table.absent("setup", measure, "1/3", "1/6", _reason(found, "ours", "strongswan"))
    else:
        ratio = median(other) / median(own)
        runs = [b / a for a, b in zip(own, other)]
        between = "" if len(runs) == 1 else f" ({times(min(runs), True)}...{times(max(runs), True)})"
        table.add("setup", measure, spread(own), spread(other), "-", times(ratio, True) + between, "1/3", "1/6", judged(ratio, 3, 6))
    measure = "open-loop setups per second, p99 under 250 ms, one core"
    rates = [run["rate"] for run in (found or {}).get("rates", [])]
    if not rates:
        return table.absent("setup", measure, "1,000", "3,000", _reason(found, "ours"))
    table.add("setup", measure, spread(rates), "-", "-", "-", "1,000", "3,000", judged(median(rates), 1000, 3000))


def _flood(table):
    found = _measured(table.results, "flood")
    runs = (found or {}).get("ours", [])
    if not runs:
        return table.absent("flood", "flood of spoofed SA_INIT beside 20 logins a second", "95 %, flat, out <= in", "the same at 200,000/s",
                            _reason(found, "ours"))
    shares = [run["legitimate"]["established"] / max(run["legitimate"]["started"], 1) * 100 for run in runs]
    late = [run["legitimate"]["p99"] for run in runs]
    grown = [_growth(run["resident"]) for run in runs]
    amplified = [run["octets_out"] / max(run["octets_in"], 1) for run in runs]
    rate = min(run["flood"].get("perSecond", 0) for run in runs)
    good = min(shares) >= 95 and max(late_growth for _, late_growth in grown) <= 0.02 and max(amplified) <= 1
    table.add("flood", f"flood of spoofed SA_INIT, {runs[0]['seconds']} s, {rate:,.0f} a second, beside 20 logins a second",
              f"{spread(shares)} % in, p99 {spread(late)} ms; resident {spread([run['resident'][0] / 2**20 for run in runs])} MiB before, "
              f"{max(growth for growth, _ in grown) / 2**20:+.1f} at most, {max(late_growth for _, late_growth in grown):+.1%} in the last third; "
              f"{spread(amplified)} octets out for one in; {spread([run['cpu'] for run in runs])} s of CPU", "-", "-", "-",
              "95 %, flat, out <= in", "the same at 200,000/s", "no" if not good else "stretch" if rate >= 190_000 else "yes" if rate >= 47_500 else "no")


def _growth(resident):
    """Octets that resident memory grew by at most, and its growth in the last third: what is needed for as many at once is taken in the beginning."""
    third = max(len(resident) // 3, 1)
    early, late = max(resident[:2 * third]), max(resident[2 * third:] or resident)
    return max(resident) - resident[0], max(late / early - 1, 0)


def _workers(table):
    found = _measured(table.results, "workers")
    measure = "two workers on two processors against one, thin flows, kpps by CPU per packet"
    one, two = ([int(count) * 1e3 / run["us"] for run in (found or {}).get("workers", {}).get(count, [])] for count in ("1", "2"))
    if not one or not two:
        return table.absent("workers", measure, "1.6x", "1.9x", _reason(found, "ours", "1", "2"))
    ratio = median(two) / median(one)
    runs = [b / a for a, b in zip(one, two)]
    between = "" if len(runs) == 1 else f" ({number(min(runs))}x...{number(max(runs))}x)"
    table.add("workers", measure, f"{spread(one)}; two {spread(two)}", "-", "-", f"{number(ratio)}x{between}", "1.6x", "1.9x", judged(ratio, 1.6, 1.9))


def table(results):
    made = Table(results)
    for way in ("up", "down"):
        _against(made, "tcp", "TCP, one stream", way, "gbps", "Gbit/s", (12, 15))
    for way in ("up", "down"):
        _ceiling_share(made, way)
    for way in ("up", "down"):
        _against(made, "tcp", "gateway CPU", way, "cpu_per_gb", "s per GB", (15, 22), less=True)
    for way, musts in (("up", (7, 8.5)), ("down", (5.5, 6.5))):
        _against(made, "wire", "TCP on a segmented wire", way, "gbps", "Gbit/s", musts)
    for way in ("up", "down"):
        _against(made, "wire", "gateway CPU on a segmented wire", way, "cpu_per_gb", "s per GB", (8, 11), less=True)
    for way in ("up", "down"):
        _against(made, "thin", "gateway CPU per 64-octet packet at 20 kpps", way, "us", "us", (1.8, 2.2), less=True)
    for way in ("up", "down"):
        _cbc(made, way)
    _sessions(made)
    _memory(made)
    _setup(made)
    _flood(made)
    _workers(made)
    return made.text()


def write(results, document):
    """Replaces what stands between the marks."""
    text = document.read_text()
    before, mark, rest = text.partition(BEGIN + "\n")
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"bench: {document} has no place for the table ({BEGIN} ... {END})")
    document.write_text(before + mark + "\n" + table(results) + "\n" + end + after)
