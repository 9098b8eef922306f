/// How quantities are written in tables.
enum Quantity {
    /// Octets with a binary unit and four characters of number at most: `17`, `1.5K`, `930M`.
    static func octets(_ count: UInt64) -> String {
        var value = count
        var rest: UInt64 = 0
        var unit = Substring("")
        var units = Substring("KMGTPE")
        while value >= 1024, let next = units.popFirst() {
            rest = value % 1024
            value /= 1024
            unit = Substring(String(next))
        }
        return unit.isEmpty || value >= 10 ? "\(value)\(unit)" : "\(value).\(rest * 10 / 1024)\(unit)"
    }

    /// A span of time by its two largest units: `45s`, `12m03s`, `3h12m`, `5d04h`.
    static func span(seconds: UInt64) -> String {
        func two(_ number: UInt64) -> String { (number < 10 ? "0" : "") + String(number) }
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m\(two(seconds % 60))s"
        case ..<86400: return "\(seconds / 3600)h\(two(seconds / 60 % 60))m"
        default: return "\(seconds / 86400)d\(two(seconds / 3600 % 24))h"
        }
    }
}
