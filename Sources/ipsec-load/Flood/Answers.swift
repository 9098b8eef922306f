import IKEMessages
import Wire

/// What a gateway answers to a flood.
struct Answers {
    private(set) var count = 0
    /// IP packets, headers included.
    private(set) var octets = 0
    private(set) var kinds: [String: Int] = [:]

    enum Kind {
        case cookie(spi: UInt64, ArraySlice<UInt8>)
        case accepted(initiator: UInt64, responder: UInt64)
        case other
    }

    /// An IKE message, or the beginning of one; with the octets of its packet.
    @discardableResult
    mutating func note(_ message: ArraySlice<UInt8>, octets size: Int) -> Kind {
        count += 1
        octets += size
        let (kind, name) = Self.kind(message)
        kinds[name, default: 0] += 1
        return kind
    }

    static func kind(_ message: ArraySlice<UInt8>) -> (Kind, String) {
        let start = message.startIndex
        func number(_ at: Int, _ count: Int) -> UInt64 { message[start + at..<start + at + count].reduce(0) { $0 << 8 | UInt64($1) } }
        guard message.count >= IKEHeader.length else { return (.other, "no IKE message") }
        guard message[start + 19] & IKEHeader.Flags.response.rawValue != 0 else { return (.other, "a request") }
        switch PayloadType(rawValue: message[start + 16]) {
        case .securityAssociation: return (.accepted(initiator: number(0, 8), responder: number(8, 8)), "IKE_SA_INIT response")
        case .notify where message.count >= IKEHeader.length + 8:
            let type = NotifyType(rawValue: UInt16(truncatingIfNeeded: number(34, 2)))
            let end = IKEHeader.length + Int(number(30, 2))
            guard type == .cookie, end >= IKEHeader.length + 9, message.count >= end else { return (.other, "\(type)") }
            return (.cookie(spi: number(0, 8), message[start + 36..<start + end]), "\(type)")
        case .encrypted: return (.other, "an encrypted message")
        default: return (.other, "another message")
        }
    }
}
