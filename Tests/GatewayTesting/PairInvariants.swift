internal import Glibc
internal import IKE
internal import IKEMessages
package import Wire

/// Processor time of this thread, so that a busy machine does not count against a datagram.
enum ProcessorClock {
    static var now: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

/// Everything a gateway sent: one message ID has one content in each direction, cut into fragments in one way (I5), and no initialization vector stands before two contents (I4).
package struct SentRecord {
    private struct Name: Hashable {
        let spi: IKESPI
        let isResponse: Bool
        let id: UInt32
        /// 0 for a message in one piece.
        let fragment: UInt16
    }

    private struct Vector: Hashable {
        let spi: IKESPI
        let octets: ArraySlice<UInt8>
    }

    package init() {}

    private var byName: [Name: [UInt8]] = [:]
    private var byVector: [Vector: [UInt8]] = [:]

    package func contains(_ octets: [UInt8]) -> Bool {
        guard let name = Self.name(octets) else { return false }
        return byName[name] == octets
    }

    /// Returns what is broken, or nil.
    package mutating func add(_ octets: [UInt8]) -> String? {
        guard let name = Self.name(octets) else { return nil }
        if let earlier = byName[name], earlier != octets { return "I5: message ID \(name.id) was sent with another content" }
        byName[name] = octets
        guard octets[16] == PayloadType.encrypted.rawValue || name.fragment > 0, octets.count > 44 else { return nil }
        let start = name.fragment > 0 ? 36 : 32
        let vector = Vector(spi: name.spi, octets: octets[start..<start + 8])
        if let earlier = byVector[vector], earlier != octets { return "I4: an initialization vector was used twice" }
        byVector[vector] = octets
        return nil
    }

    /// nil for what is no message of an IKE SA: cookies, refusals, and the door's word to a newer version.
    private static func name(_ octets: [UInt8]) -> Name? {
        var span = octets.span.bytes
        guard let header = try? IKEHeader(parsing: &span), header.responderSPI != 0,
            header.nextPayload == .encrypted || header.nextPayload == .encryptedFragment || header.nextPayload == .securityAssociation
        else { return nil }
        let isFragment = header.nextPayload == .encryptedFragment && octets.count > 36
        return Name(
            spi: header.responderSPI, isResponse: header.isResponse, id: header.messageID,
            fragment: isFragment ? UInt16(octets[32]) << 8 | UInt16(octets[33]) : 0)
    }
}

extension PairGateway {
    /// What of threats.md section 3 is broken now.
    package func broken(at now: Instant) -> [String] {
        var broken = violations
        var owners: Set<IPAddress> = []
        for entry in entries.values {
            for address in entry.grant?.addresses ?? [] where !owners.insert(address).inserted {
                broken.append("I2: \(address) has two owners")
            }
            if entry.nextDeadline == nil { broken.append("I9: an SA in \(entry.stage) has no deadline") }
            if entry.isEstablished, entry.establishment == nil { broken.append("I1: established without saying so") }
            if entry.isEstablished, !entry.ended.isEmpty { broken.append("I3: established after its end") }
            broken += faults(of: entry)
        }
        for entry in gone.suffix(4) {
            if entry.closed != 1 { broken.append("closed \(entry.closed) times") }
            if entry.ended.count != 1 { broken.append("I3: closed, and ended \(entry.ended.count) times") }
            broken += faults(of: entry)
        }
        return broken + tables()
    }

    private func faults(of entry: Entry) -> [String] {
        var broken: [String] = []
        if entry.ended.count > 1 { broken.append("I3: ended \(entry.ended.count) times") }
        if !entry.ended.isEmpty {
            if !entry.installed.isEmpty { broken.append("a Child SA outlives its session (\(entry.ended))") }
            if !entry.reserved.isEmpty { broken.append("an SPI outlives its session (\(entry.ended))") }
        }
        for child in entry.installed.values {
            let grant = child.grant.addresses
            let networks = child.grant.terms?.clientNetworks ?? []
            // I6: what the datapath is told to enforce lies within what was assigned and allowed.
            let own = child.remoteSelectors.allSatisfy { selector in
                grant.contains { selector.addresses == IPPrefix(host: $0).range }
                    || networks.contains { $0.range.intersection(selector.addresses) == selector.addresses }
            }
            let list = profile.selectors?.local.map {
                TrafficSelector(
                    ipProtocol: $0.ipProtocol, startPort: $0.ports.lowerBound, endPort: $0.ports.upperBound, addresses: $0.addresses)
            }
            let allowed = list.map { list in child.localSelectors.allSatisfy { Narrowing.narrow([$0], to: list) == [$0] } } ?? true
            if !own || child.remoteSelectors.isEmpty { broken.append("I6: TSi is wider than the assigned addresses") }
            if !allowed || child.localSelectors.isEmpty { broken.append("I6: TSr is wider than the ts-list") }
        }
        return broken
    }

    /// I7: every table within its cap, and gauges that say what is alive.
    private func tables() -> [String] {
        var broken: [String] = []
        let limits = profile.policy.halfOpen
        let gauges = gauges
        let unsettled = entries.values.count { !$0.isSettled }
        let spis = entries.values.reduce(0) { $0 + $1.spis.count }
        if gauges.live != spis { broken.append("I7: the door knows \(gauges.live) SPIs of \(spis)") }
        if entries.values.contains(where: { $0.installed.count > 16 || $0.spis.count > 4 }) { broken.append("I7: too many SAs of one client") }
        if gauges.halfOpen != unsettled { broken.append("I7: the door counts \(gauges.halfOpen) half-open SAs of \(unsettled)") }
        if halfOpen != unsettled + waiting.count { broken.append("I7: \(halfOpen) half-open, \(unsettled) alive, \(waiting.count) waiting") }
        if halfOpen > limits.maximum { broken.append("I7: \(halfOpen) half-open SAs of \(limits.maximum)") }
        if gauges.sources > halfOpen { broken.append("I7: \(gauges.sources) sources of \(halfOpen) half-open SAs") }
        if initiationCount != entries.count { broken.append("I7: \(initiationCount) requests remembered for \(entries.count) SAs") }
        return broken
    }

    /// I12: nothing is left.
    package var leftovers: [String] {
        var left: [String] = []
        if !entries.isEmpty { left.append("\(entries.count) IKE SAs: \(entries.values.map(\.stage).sorted())") }
        if !pending.isEmpty { left.append("\(pending.count) pending answers") }
        if leasedCount != 0 { left.append("\(leasedCount) leases") }
        if gauges != (0, 0, 0) || halfOpen != 0 { left.append("the door's gauges \(gauges), half-open \(halfOpen)") }
        return left
    }
}
