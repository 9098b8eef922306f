import GatewayTesting
import IKE
import IKEMessages
import Wire

/// Fragments of somebody who has the keys, in any order and with any numbers (threats.md P5, P6). First octet: stage; then for each fragment a
/// head of six octets and its piece.
enum FragmentedMessages {
    private static let exchanges: [ExchangeType] = [.informational, .createChildSA, .ikeAuth, .ikeSAInit]

    static func run(_ octets: [UInt8]) {
        var script = Script(octets)
        let kind = script.octet()
        let isHalfOpen = kind & 1 == 0
        let pair = isHalfOpen ? Setting.halfOpen() : Setting.established()
        pair.wire.fate = { _ in .drop }
        // A request of the gateway is out, so that fragments of responses are looked at.
        if !isHalfOpen, kind & 2 != 0 { pair.run(for: .seconds(31)) }
        var count = 0
        while !script.isAtEnd, count < 200 {
            count += 1
            step(&script, pair, isHalfOpen)
            pair.expectSound("fragment \(count)")
            expect(pair.gateway.budget.inUse <= pair.gateway.budget.limit, "more memory for fragments than allowed")
            if isHalfOpen { expect(pair.gateway.established == 0, "in without AUTH") }
        }
        pair.endAll("fragments")
        expect(pair.gateway.budget.inUse == 0, "\(pair.gateway.budget.inUse) octets of fragments are left")
    }

    private static func step(_ script: inout Script, _ pair: Pair, _ isHalfOpen: Bool) {
        let head = script.octet()
        let number = UInt16(script.octet())
        let total = UInt16(script.octet())
        let length = Int(script.octet())
        let first = PayloadType(rawValue: script.octet())
        let id = UInt32(script.octet() & 3)
        let piece = script.octets(length)
        let exchange = isHalfOpen && head & 3 == 0 ? .ikeAuth : exchanges[Int(head & 3)]
        let flags: IKEHeader.Flags = head & 0x10 == 0 ? .initiator : [.initiator, .response]
        var message = pair.client.forge(exchange, piece: piece, first: first, number: number, of: total, id: id, flags: flags) ?? []
        switch head >> 6 {
        // Not authentic: a changed number, or a changed octet anywhere.
        case 1: if message.count > 36 { message[32 + Int(head >> 2 & 3)] ^= 1 }
        case 2 where !message.isEmpty: message[Int(number) % message.count] ^= 0x40
        case 3: pair.now = pair.now + .milliseconds(Int(head & 0x3f) * 50)
        default: break
        }
        bounded("a fragment") { pair.inject(message, origin: .peer) }
        if head & 0x20 != 0 { bounded("a fragment again") { pair.inject(message, origin: .peer) } }
    }
}
