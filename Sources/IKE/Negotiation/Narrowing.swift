package import IKEMessages
import Wire

/// Narrowing of traffic selectors, RFC 7296 section 2.9; features.md TS-2 and TS-5.
package enum Narrowing {
    /// A selector count is one octet on the wire (TS-5).
    static let mostSelectors = 255

    /// The set intersection of what the peer asks with what is allowed, overlapping and adjoining results merged; empty when nothing is left.
    package static func narrow(_ asked: [TrafficSelector], to allowed: [TrafficSelector]) -> [TrafficSelector] {
        var result: [TrafficSelector] = []
        for wanted in asked {
            for permitted in allowed {
                guard let common = intersection(wanted, permitted), !result.contains(where: { covers($0, common) }) else { continue }
                result.removeAll { covers(common, $0) }
                result.append(common)
            }
        }
        return Array(merged(result).prefix(mostSelectors))
    }

    /// What two selectors have in common, or nil.
    static func intersection(_ left: TrafficSelector, _ right: TrafficSelector) -> TrafficSelector? {
        guard let addresses = left.addresses.intersection(right.addresses) else { return nil }
        let ipProtocol: UInt8
        switch (left.ipProtocol, right.ipProtocol) {
        case (0, let other), (let other, 0): ipProtocol = other
        case (let a, let b) where a == b: ipProtocol = a
        default: return nil
        }
        guard let ports = intersection(ports: left, right) else { return nil }
        return TrafficSelector(ipProtocol: ipProtocol, startPort: ports.start, endPort: ports.end, addresses: addresses)
    }

    /// Ports; OPAQUE (start 65535, end 0) is contained in ANY and in itself alone.
    private static func intersection(
        ports left: TrafficSelector, _ right: TrafficSelector
    ) -> (start: UInt16, end: UInt16)? {
        switch (left.isOpaquePort, right.isOpaquePort) {
        case (true, true): return (.max, 0)
        case (true, false): return right.startPort == 0 && right.endPort == .max ? (.max, 0) : nil
        case (false, true): return left.startPort == 0 && left.endPort == .max ? (.max, 0) : nil
        case (false, false):
            let start = max(left.startPort, right.startPort)
            let end = min(left.endPort, right.endPort)
            return start <= end ? (start, end) : nil
        }
    }

    /// Whether everything in `inner` is in `outer`.
    package static func covers(_ outer: TrafficSelector, _ inner: TrafficSelector) -> Bool {
        intersection(outer, inner) == inner
    }

    /// Joins selectors that differ in their addresses alone, where those touch.
    private static func merged(_ selectors: [TrafficSelector]) -> [TrafficSelector] {
        var result: [TrafficSelector] = []
        for selector in selectors.sorted(by: { $0.addresses.begin < $1.addresses.begin }) {
            if let index = result.lastIndex(where: {
                $0.ipProtocol == selector.ipProtocol && $0.startPort == selector.startPort && $0.endPort == selector.endPort
                    && touches($0.addresses, selector.addresses)
            }), let joined = AddressRange(result[index].addresses.begin, max(result[index].addresses.end, selector.addresses.end)) {
                result[index].addresses = joined
            } else {
                result.append(selector)
            }
        }
        return result
    }

    /// Whether the second range, which does not begin earlier, overlaps or directly follows the first.
    private static func touches(_ first: AddressRange, _ second: AddressRange) -> Bool {
        first.family == second.family && (second.begin <= first.end || first.end.next == second.begin)
    }
}
