import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Wire

/// Payloads of somebody who has the keys. The first octet chooses what they are sent to, the second is the first payload's type.
enum InnerPayloads {
    static func run(_ octets: [UInt8]) {
        guard octets.count >= 2 else { return }
        let first = PayloadType(rawValue: octets[1])
        let chain = Array(octets[2...])
        let parsed = bounded("parsing \(chain.count) octets") { try? PayloadChain.parse(first: first, chain) }
        if let payloads = parsed {
            bounded("exchanges") { Meaning.ofExchanges(payloads) }
            let (type, encoded) = PayloadChain.encode(payloads)
            guard let again = try? PayloadChain.parse(first: type, encoded) else { found("what we encoded we cannot parse") }
            expect(again == payloads && encoded.count == chain.count, "parse, encode, parse is not parse")
        } else if octets[0] & 0x80 == 0 {
            // What cannot be parsed leads to one and the same answer everywhere; it is worth a login now and then only.
            return
        }
        let payloads = parsed
        switch octets[0] & 7 {
        case 0: unknownPeer(first, chain)
        case 1: ownAuthentication(payloads ?? [])
        case 2: request(.informational, first, chain)
        case 3, 4: request(.createChildSA, first, chain)
        case 5: whileDeleting(octets[0] & 8 == 0 ? .informational : .createChildSA, first, chain)
        case 6: response(first, chain)
        default: whole(payloads ?? [])
        }
    }

    /// IKE_AUTH with the AUTH of somebody else, or none: nobody gets in.
    private static func unknownPeer(_ first: PayloadType, _ chain: [UInt8]) {
        let pair = Setting.halfOpen()
        guard let message = pair.client.forge(.ikeAuth, piece: chain, first: first, number: 1, of: 1, id: 1) else { return }
        bounded("IKE_AUTH") { pair.inject(message, origin: .peer) }
        expect(pair.gateway.established == 0 && pair.gateway.exposedKeys.isEmpty, "in without AUTH")
        pair.endAll("IKE_AUTH of a stranger")
    }

    /// IKE_AUTH with a right IDi and AUTH, everything else as the fuzzer wants it.
    private static func ownAuthentication(_ payloads: [Payload]) {
        let pair = Setting.pair()
        pair.client.warrior.tamper = { outgoing in
            guard outgoing.header.exchange == .ikeAuth, !outgoing.header.isResponse else { return outgoing }
            var outgoing = outgoing
            let own = outgoing.payloads.filter { $0.type == .initiatorIdentification || $0.type == .authentication }
            outgoing.payloads = own + payloads.filter { $0.type != .initiatorIdentification && $0.type != .authentication }
            return outgoing
        }
        bounded("a login", milliseconds: 200) { pair.connect() }
        pair.expectSound("a login")
        pair.run(for: .seconds(2))
        pair.endAll("a login")
    }

    private static func request(_ exchange: ExchangeType, _ first: PayloadType, _ chain: [UInt8]) {
        let pair = Setting.established()
        pair.wire.fate = { _ in .drop }
        guard let message = pair.client.forge(exchange, piece: chain, first: first, number: 1, of: 1, id: 2) else { return }
        bounded("a request") { pair.inject(message, origin: .peer) }
        pair.expectSound("a request of exchange \(exchange.rawValue)")
        let sent = pair.wire.sent.count
        // The same once more: the same octets again, or silence.
        pair.inject(message, origin: .peer)
        pair.expectSound("a repeated request")
        expect(pair.wire.sent.count <= sent + 64, "too much in answer to a repetition")
        pair.run(for: .seconds(1))
        pair.endAll("a request of exchange \(exchange.rawValue)")
    }

    private static func whileDeleting(_ exchange: ExchangeType, _ first: PayloadType, _ chain: [UInt8]) {
        let pair = Setting.established()
        pair.wire.fate = { _ in .drop }
        pair.closeFromGateway()
        guard let message = pair.client.forge(exchange, piece: chain, first: first, number: 1, of: 1, id: 2) else { return }
        bounded("a request to an SA that dies") { pair.inject(message, origin: .peer) }
        pair.endAll("a request to an SA that dies")
    }

    /// In answer to a liveness check or a Delete of ours.
    private static func response(_ first: PayloadType, _ chain: [UInt8]) {
        let pair = Setting.established()
        pair.wire.fate = { _ in .drop }
        pair.run(for: .seconds(31))
        let message = pair.client.forge(
            .informational, piece: chain, first: first, number: 1, of: 1, id: 0, flags: [.initiator, .response])
        guard let message else { return }
        bounded("a response") { pair.inject(message, origin: .peer) }
        pair.expectSound("a response")
        pair.endAll("a response")
    }

    /// The same in SK instead of SKF: payloads that were parsed and encoded again.
    private static func whole(_ payloads: [Payload]) {
        let pair = Setting.established()
        pair.wire.fate = { _ in .drop }
        for (exchange, id) in [(ExchangeType.createChildSA, UInt32(2)), (.informational, 3)] {
            guard let message = pair.client.forge(exchange, payloads, id: id) else { return }
            bounded("SK") { pair.inject(message, origin: .peer) }
        }
        pair.endAll("SK")
    }
}
