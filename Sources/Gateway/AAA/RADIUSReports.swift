import AddressAssignment
import FoundationEssentials
import IKE
package import ManagementAPI
import RADIUS
import Wire

extension Gateway {
    package func radius() async -> RADIUSReport {
        var servers: [RADIUSReport.Server] = []
        for exchange in await parts.aaa.exchangesInUse + parts.accounting.exchangesInUse {
            let kind = exchange.kind == .authentication ? "authentication" : "accounting"
            servers += await exchange.statistics.map { RADIUSReport.Server($0, policy: exchange.policy, kind: kind) }
        }
        return RADIUSReport(
            servers: servers, spool: await parts.accounting.report, conversations: await parts.aaa.conversationCount,
            dynamicAuthorization: await parts.dynamicAuthorization?.report ?? [:])
    }
}

extension RADIUSReport.Server {
    init(_ statistics: RADIUSServerStatistics, policy: String, kind: String) {
        var drops: [String: UInt64] = [:]
        for (reason, count) in statistics.drops { drops["\(reason)"] = count }
        if statistics.unusable > 0 { drops["unusable"] = statistics.unusable }
        self.init(
            name: statistics.name, policy: policy, kind: kind, address: statistics.endpoint.description, state: statistics.isUp ? .up : .down,
            requests: statistics.requests, retransmissions: statistics.retransmissions, replies: statistics.replies,
            timeouts: statistics.timeouts, outstanding: statistics.outstanding,
            roundTripMilliseconds: statistics.roundTrip.map { Double($0.components.seconds) * 1000 + Double($0.components.attoseconds) / 1e15 },
            drops: drops)
    }
}

extension AuthorizationReport {
    /// What acts now: a CoA-Request may have changed some of it.
    init?(_ session: Session) {
        guard let authorization = session.authorization else { return nil }
        let accept = authorization.accept
        let transforms = accept.encryption != nil || accept.integrity != nil ? authorization.terms.transforms ?? [] : []
        self.init(
            server: authorization.server, classes: accept.classes.map(Self.text), sessionTimeoutSeconds: Self.seconds(session.limits.end),
            idleTimeoutSeconds: Self.seconds(session.limits.idle), interimIntervalSeconds: Self.seconds(session.interimInterval),
            filter: accept.filterID, portLimit: accept.portLimit.map(Int.init), lifetimeSeconds: Self.seconds(accept.saLifetime),
            pfsGroup: accept.pfsGroup.map { AlgorithmNames.keyExchange($0) },
            algorithms: Array(Set(transforms.flatMap { AlgorithmNames.names(of: $0) })).sorted(), replayWindow: accept.replayWindow,
            netmask: session.leases[.ipv4].flatMap { lease in
                accept.framedIPNetmask.flatMap { IPPrefix(lease.address, length: $0)?.netmask.description }
            },
            dns: (authorization.dns ?? []).map(\.description), routes: authorization.terms.clientNetworks.map(\.description))
    }

    private static func seconds(_ duration: Duration?) -> UInt64? {
        duration.map { UInt64(max(0, $0.components.seconds)) }
    }

    /// Text where it is that, else `0x` and hexadecimal.
    private static func text(_ octets: [UInt8]) -> String {
        let isPrintable = !octets.isEmpty && octets.allSatisfy { (0x20...0x7e).contains($0) }
        return isPrintable ? String(decoding: octets, as: UTF8.self) : "0x" + octets.hexadecimal
    }
}
