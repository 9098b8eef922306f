import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

/// No invariant was broken so far.
func expectSound(_ pair: Pair, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(pair.checkNow() == [], "seed \(pair.seed)", sourceLocation: sourceLocation)
}

/// No invariant was broken, and nothing is left (invariant I12).
func expectNothingLeft(_ pair: Pair, sourceLocation: SourceLocation = #_sourceLocation) {
    expectSound(pair, sourceLocation: sourceLocation)
    #expect(pair.gateway.leftovers == [], "seed \(pair.seed)", sourceLocation: sourceLocation)
}

/// Nobody got in: no session, no address, no keys, and soon nothing left.
func expectNobodyIn(_ pair: Pair, _ what: Comment = "", sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(pair.gateway.established == 0, what, sourceLocation: sourceLocation)
    #expect(pair.gateway.exposedKeys.isEmpty, what, sourceLocation: sourceLocation)
    #expect(!pair.client.isEstablished, what, sourceLocation: sourceLocation)
    #expect((pair.gateway.gone + pair.gateway.entries.values).allSatisfy { $0.questions.isEmpty }, what, sourceLocation: sourceLocation)
    pair.drain()
    expectNothingLeft(pair, sourceLocation: sourceLocation)
}

extension [Payload] {
    var notifyTypes: [NotifyType] {
        compactMap { if case .notify(let notify) = $0 { notify.type } else { nil } }
    }
    func notify(_ type: NotifyType) -> NotifyPayload? {
        lazy.compactMap { if case .notify(let notify) = $0, notify.type == type { notify } else { nil } }.first
    }
    var deletes: [DeletePayload] {
        compactMap { if case .delete(let delete) = $0 { delete } else { nil } }
    }
    var types: [PayloadType] { map(\.type) }
}

extension Pair {
    /// What the gateway or the client put on the wire, by exchange.
    func flights(_ exchange: ExchangeType, response: Bool, fromClient: Bool) -> [Flight] {
        wire.sent.filter { $0.is(exchange, response: response, fromClient: fromClient) }
    }

    /// The clear payloads of the gateway's last IKE_SA_INIT response.
    var initResponse: [Payload]? {
        flights(.ikeSAInit, response: true, fromClient: false).last.flatMap { try? IKEMessage(parsing: $0.octets).payloads }
    }

    /// What the gateway said in its last protected message of an exchange, read with the client's keys.
    func gatewaySaid(_ exchange: ExchangeType, response: Bool) -> [Payload]? {
        flights(exchange, response: response, fromClient: false).last.flatMap { client.warrior.reveal($0.octets) }
    }
}

/// A change to what a client sends in one exchange.
func tampering(
    _ exchange: ExchangeType, response: Bool = false, _ change: @escaping @Sendable (inout [Payload]) -> Void
) -> RoadWarrior.Tamper {
    { outgoing in
        guard outgoing.header.exchange == exchange, outgoing.header.isResponse == response else { return outgoing }
        var outgoing = outgoing
        change(&outgoing.payloads)
        return outgoing
    }
}

func ip(_ text: String) -> IPAddress { IPAddress(text) ?? IPAddress(v4: 0) }

/// `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, with an optional protocol and ports: `10.0.0.0/8[6]:80-443`.
func selector(_ text: String) -> TrafficSelector {
    var rest = Substring(text)
    var ports: (UInt16, UInt16) = (0, .max)
    var ipProtocol: UInt8 = 0
    if let bracket = rest.firstIndex(of: "[") {
        let tail = rest[bracket...].dropFirst()
        ipProtocol = UInt8(tail.prefix { $0 != "]" }) ?? 0
        if let colon = tail.firstIndex(of: ":") {
            let numbers = tail[colon...].dropFirst().split(separator: "-").compactMap { UInt16($0) }
            ports = (numbers.first ?? 0, numbers.last ?? .max)
        }
        rest = rest[..<bracket]
    }
    let ends = rest.split(separator: "-").map(String.init)
    let range = ends.count == 2 ? AddressRange(ip(ends[0]), ip(ends[1])) : IPPrefix(String(rest))?.range
    return TrafficSelector(
        ipProtocol: ipProtocol, startPort: ports.0, endPort: ports.1, addresses: range ?? IPPrefix(host: ip(String(rest))).range)
}

func tsList(_ entries: String...) -> TrafficSelectorList {
    TrafficSelectorList(
        name: "list",
        local: entries.map { text in
            let entry = selector(text)
            return TrafficSelectorList.Entry(
                entry.addresses, ipProtocol: entry.ipProtocol, ports: entry.startPort...max(entry.startPort, entry.endPort))
        })
}

extension Pair {
    /// A gateway whose IKE policy was changed.
    static func policy(_ change: (inout IKEPolicy) -> Void) -> GatewayProfile {
        profile { change(&$0.policy) }
    }
}

extension PairGateway.Held {
    /// What a login without EAP waits for.
    static let withoutEAP: [Self] = [.peer, .address, .install]
}
