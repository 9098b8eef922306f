/// An object identifier by its DER content octets; compared as octets, never turned into text to decide something (threats.md C3).
package struct ObjectIdentifier: Hashable, Sendable {
    /// Without tag and length.
    package let content: [UInt8]

    /// Refuses what has more than 32 arcs, an arc above 133 bits (a UUID fits), or is not minimal.
    init(content: [UInt8]) throws(DERError) {
        guard let last = content.last, last < 0x80 else { throw .badValue }
        var arcs = 1
        var length = 0
        for octet in content {
            guard length > 0 || octet != 0x80 else { throw .badValue }
            length += 1
            guard length <= 19 else { throw .badValue }
            if octet < 0x80 {
                arcs += 1
                length = 0
            }
        }
        guard arcs <= 32 else { throw .tooMany }
        self.content = content
    }

    /// From numbers, at least two; an arc above 2^31 is cut.
    package init(_ arcs: UInt32...) {
        var octets: [UInt8] = []
        let first = arcs.prefix(2).reduce(UInt32(0)) { $0 &* 40 &+ $1 }
        for arc in [first] + arcs.dropFirst(2) {
            var part = [UInt8(arc & 0x7f)]
            var rest = arc >> 7
            while rest > 0 {
                part.insert(UInt8(rest & 0x7f) | 0x80, at: 0)
                rest >>= 7
            }
            octets += part
        }
        content = octets
    }

    package var der: [UInt8] { DERWriting.element(DER.Tag.objectIdentifier, content) }

    /// Whether it begins with another one's arcs.
    func isBelow(_ other: ObjectIdentifier) -> Bool { content.count > other.content.count && content.starts(with: other.content) }
}

extension ObjectIdentifier {
    // Attributes of names, X.520 and RFC 4519
    static let commonName = Self(2, 5, 4, 3)
    static let surname = Self(2, 5, 4, 4)
    static let serialNumber = Self(2, 5, 4, 5)
    static let country = Self(2, 5, 4, 6)
    static let locality = Self(2, 5, 4, 7)
    static let stateOrProvince = Self(2, 5, 4, 8)
    static let street = Self(2, 5, 4, 9)
    static let organization = Self(2, 5, 4, 10)
    static let organizationalUnit = Self(2, 5, 4, 11)
    static let title = Self(2, 5, 4, 12)
    static let givenName = Self(2, 5, 4, 42)
    static let domainComponent = Self(0, 9, 2342, 19_200_300, 100, 1, 25)
    static let userID = Self(0, 9, 2342, 19_200_300, 100, 1, 1)
    static let emailAddress = Self(1, 2, 840, 113_549, 1, 9, 1)

    // Keys, RFC 8017, 5480, 8410
    static let rsaEncryption = Self(1, 2, 840, 113_549, 1, 1, 1)
    static let rsaPSS = Self(1, 2, 840, 113_549, 1, 1, 10)
    static let ecPublicKey = Self(1, 2, 840, 10_045, 2, 1)
    static let p256 = Self(1, 2, 840, 10_045, 3, 1, 7)
    static let p384 = Self(1, 3, 132, 0, 34)
    static let p521 = Self(1, 3, 132, 0, 35)
    static let ed25519 = Self(1, 3, 101, 112)
    static let ed448 = Self(1, 3, 101, 113)

    // Signatures
    static let sha1WithRSA = Self(1, 2, 840, 113_549, 1, 1, 5)
    static let sha256WithRSA = Self(1, 2, 840, 113_549, 1, 1, 11)
    static let sha384WithRSA = Self(1, 2, 840, 113_549, 1, 1, 12)
    static let sha512WithRSA = Self(1, 2, 840, 113_549, 1, 1, 13)
    static let ecdsaWithSHA1 = Self(1, 2, 840, 10_045, 4, 1)
    static let ecdsaWithSHA256 = Self(1, 2, 840, 10_045, 4, 3, 2)
    static let ecdsaWithSHA384 = Self(1, 2, 840, 10_045, 4, 3, 3)
    static let ecdsaWithSHA512 = Self(1, 2, 840, 10_045, 4, 3, 4)
    static let mgf1 = Self(1, 2, 840, 113_549, 1, 1, 8)
    static let sha256 = Self(2, 16, 840, 1, 101, 3, 4, 2, 1)
    static let sha384 = Self(2, 16, 840, 1, 101, 3, 4, 2, 2)
    static let sha512 = Self(2, 16, 840, 1, 101, 3, 4, 2, 3)

    // Extensions, RFC 5280 section 4.2
    package static let standardExtensions = Self(2, 5, 29)
    package static let internetExtensions = Self(1, 3, 6, 1, 5, 5, 7, 1)
    package static let subjectKeyIdentifier = Self(2, 5, 29, 14)
    package static let keyUsage = Self(2, 5, 29, 15)
    package static let subjectAlternativeName = Self(2, 5, 29, 17)
    package static let basicConstraints = Self(2, 5, 29, 19)
    package static let nameConstraints = Self(2, 5, 29, 30)
    package static let authorityKeyIdentifier = Self(2, 5, 29, 35)
    package static let extendedKeyUsage = Self(2, 5, 29, 37)

    // Purposes of keys, RFC 5280 section 4.2.1.12, RFC 4945 section 5.1.3.12
    package static let anyExtendedKeyUsage = Self(2, 5, 29, 37, 0)
    package static let serverAuthentication = Self(1, 3, 6, 1, 5, 5, 7, 3, 1)
    package static let clientAuthentication = Self(1, 3, 6, 1, 5, 5, 7, 3, 2)
    package static let emailProtection = Self(1, 3, 6, 1, 5, 5, 7, 3, 4)
    package static let ipsecIKE = Self(1, 3, 6, 1, 5, 5, 7, 3, 17)
}
