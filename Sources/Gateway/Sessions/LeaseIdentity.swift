import GatewayCrypto
import IKEMessages
import Wire

/// The identity text of features.md ADDR-8: one type octet (its own numbering), then the text; what leases are remembered by.
enum LeaseIdentity {
    /// KEY_ID 0, IPv4 1, DN 2, FQDN 3, RFC822 4, IPv6 5.
    static func text(_ identity: IdentificationPayload) -> String {
        let number: Int
        switch identity.type {
        case .keyID: number = 0
        case .ipv4Address: number = 1
        case .derASN1DN: number = 2
        case .fqdn: number = 3
        case .rfc822Address: number = 4
        case .ipv6Address: number = 5
        default: number = 0
        }
        let value = identity.ipAddress?.description ?? Self.value(identity)
        let whole = "\(number)\(value)"
        return whole.utf8.count <= 253 ? whole : "sha256:" + digest(identity)
    }

    /// Names as they are where they are plain text, anything else in hexadecimal behind a blank, which no plain name has.
    private static func value(_ identity: IdentificationPayload) -> String {
        switch identity.type {
        case .fqdn, .rfc822Address, .keyID:
            let printable = identity.data.allSatisfy { (0x21...0x7e).contains($0) }
            return printable ? String(decoding: identity.data, as: UTF8.self) : " 0x" + identity.data.hexadecimal
        default: return " 0x" + identity.data.hexadecimal
        }
    }

    private static func digest(_ identity: IdentificationPayload) -> String {
        Digest.sha256(identity.body).hexadecimal
    }

    /// Of a name that was proved by EAP, where IDi is a mere word: 4 if it has an `@`, else 3.
    static func text(eap name: [UInt8]) -> String {
        let number = name.contains(UInt8(ascii: "@")) ? 4 : 3
        let isPrintable = name.allSatisfy { (0x21...0x7e).contains($0) }
        let whole = "\(number)" + (isPrintable ? String(decoding: name, as: UTF8.self) : " 0x" + name.hexadecimal)
        return whole.utf8.count <= 253 ? whole : "sha256:" + Digest.sha256([UInt8(number)] + name).hexadecimal
    }
}
