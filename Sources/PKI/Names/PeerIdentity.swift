package import Wire

/// What an identification payload says, RFC 7296 section 3.5, to be found in a certificate (threats.md P18, P39).
package enum PeerIdentity: Hashable, Sendable {
    case address(IPAddress)
    case fqdn([UInt8])
    case rfc822([UInt8])
    case distinguishedName(DistinguishedName)
    case generalName(GeneralName)
    /// KEY_ID and every type that no certificate can hold.
    case opaque(type: UInt8, [UInt8])

    /// Of an identification payload's type and data; nil for data that its type does not allow.
    package init?(type: UInt8, data: [UInt8]) {
        switch type {
        case 1, 5:
            guard data.count == (type == 1 ? 4 : 16), let address = IPAddress(octets: data) else { return nil }
            self = .address(address)
        case 2: self = .fqdn(data)
        case 3: self = .rfc822(data)
        case 9:
            guard let name = try? DistinguishedName(der: data) else { return nil }
            self = .distinguishedName(name)
        case 10:
            guard let name = try? GeneralName(der: data) else { return nil }
            self = .generalName(name)
        default: self = .opaque(type: type, data)
        }
    }
}

extension PeerIdentity: CustomStringConvertible {
    /// Printable ASCII, at most 256 octets; for people (threats.md C11).
    package var description: String {
        switch self {
        case .address(let address): address.description
        case .fqdn(let text), .rfc822(let text): EscapedName.text(text)
        case .distinguishedName(let name): name.description
        case .generalName(let name): EscapedName.cut("general name " + name.der.hexadecimal)
        case .opaque(let type, let data): EscapedName.cut("type \(type), " + EscapedName.text(data))
        }
    }
}

extension Certificate {
    /// Whether the certificate is for this name. The type is exact: an FQDN only in a dNSName, an address only in an iPAddress, a mail address only
    /// in an rfc822Name, a DN only in the subject (or a directoryName). No part of a name, no wildcard, no common name (threats.md P18).
    package func matches(_ identity: PeerIdentity) -> Bool {
        switch identity {
        case .address(let address): subjectAlternativeNames.contains(.address(address))
        case .fqdn(let wanted):
            subjectAlternativeNames.contains { name in
                guard case .dns(let text) = name else { return false }
                return NameComparison.isSameDomain(text, wanted)
            }
        case .rfc822(let wanted):
            subjectAlternativeNames.contains { name in
                guard case .rfc822(let text) = name else { return false }
                return NameComparison.isSameMailbox(text, wanted)
            }
        case .distinguishedName(let wanted):
            !wanted.isEmpty && !wanted.containsNUL && (subject == wanted || subjectAlternativeNames.contains(.directory(wanted)))
        case .generalName(let name):
            switch name {
            case .rfc822(let text): matches(.rfc822(text))
            case .dns(let text): matches(.fqdn(text))
            case .address(let address): matches(.address(address))
            case .directory(let name):
                !name.isEmpty && !name.containsNUL && subjectAlternativeNames.contains(.directory(name))
            case .uri(let text): !text.isEmpty && text.allSatisfy { (0x21...0x7e).contains($0) } && subjectAlternativeNames.contains(name)
            case .other: false
            }
        case .opaque: false
        }
    }
}

/// Case is folded for domains only, and only that of ASCII.
enum NameComparison {
    static func isSameDomain(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        !left.isEmpty && left.count <= 255 && left.allSatisfy(isDomainCharacter) && right.allSatisfy(isDomainCharacter)
            && left.map(\.lowercased) == right.map(\.lowercased)
    }

    private static func isDomainCharacter(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }

    /// The local part octet by octet, the domain as a domain.
    static func isSameMailbox(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard let leftAt = left.lastIndex(of: UInt8(ascii: "@")), let rightAt = right.lastIndex(of: UInt8(ascii: "@")) else { return false }
        let local = left[..<leftAt]
        return !local.isEmpty && local.count <= 255 && local.allSatisfy { (0x21...0x7e).contains($0) } && local == right[..<rightAt]
            && isSameDomain(left[(leftAt + 1)...], right[(rightAt + 1)...])
    }
}
