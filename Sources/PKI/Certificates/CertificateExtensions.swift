/// The extensions that we decide by, RFC 5280 section 4.2.1; the rest of path validation's are OpenSSL's.
package struct CertificateExtensions: Hashable, Sendable {
    /// nil: the extension is absent, or the value is.
    package var basicConstraints: BasicConstraints?
    package var keyUsage: KeyUsage?
    package var extendedKeyUsage: Set<ObjectIdentifier>?
    package var subjectAlternativeNames: [GeneralName] = []
    package var subjectKeyIdentifier: [UInt8]?
    package var authorityKeyIdentifier: [UInt8]?
    /// Permitted and excluded subtrees together.
    package var nameConstraintCount = 0

    package struct BasicConstraints: Hashable, Sendable {
        package var isAuthority: Bool
        package var maximumPathLength: Int?

        package init(isAuthority: Bool, maximumPathLength: Int? = nil) {
            self.isAuthority = isAuthority
            self.maximumPathLength = maximumPathLength
        }
    }

    /// Bit 0 of RFC 5280 is the highest.
    package struct KeyUsage: OptionSet, Hashable, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let digitalSignature = Self(rawValue: 0x8000)
        package static let contentCommitment = Self(rawValue: 0x4000)
        package static let keyEncipherment = Self(rawValue: 0x2000)
        package static let dataEncipherment = Self(rawValue: 0x1000)
        package static let keyAgreement = Self(rawValue: 0x0800)
        package static let keyCertificateSign = Self(rawValue: 0x0400)
        package static let crlSign = Self(rawValue: 0x0200)
    }

    package init() {}

    /// Takes one extension up. Values of the standard arcs are nested DER, and are gone over before anything else reads them.
    mutating func read(_ type: ObjectIdentifier, _ value: DERElement, of outer: DERCursor) throws(CertificateError) {
        guard type.isBelow(.standardExtensions) || type.isBelow(.internetExtensions) else { return }
        do throws(DERError) {
            try DER.scan(outer.octets, value.content)
            var cursor = outer.inside(value)
            switch type {
            case .basicConstraints: basicConstraints = try BasicConstraints(parsing: &cursor)
            case .keyUsage: keyUsage = try KeyUsage(parsing: &cursor)
            case .extendedKeyUsage: extendedKeyUsage = try Self.purposes(&cursor)
            case .subjectAlternativeName: subjectAlternativeNames = try Self.names(&cursor)
            case .subjectKeyIdentifier: subjectKeyIdentifier = cursor.content(try cursor.next(DER.Tag.octetString))
            case .authorityKeyIdentifier:
                // AuthorityKeyIdentifier ::= SEQUENCE { [0] keyIdentifier OPTIONAL, [1] issuer OPTIONAL, [2] serialNumber OPTIONAL }
                var fields = cursor.inside(try cursor.next(DER.Tag.sequence))
                if let identifier = try fields.optional(DER.Tag.context(0)) { authorityKeyIdentifier = fields.content(identifier) }
            case .nameConstraints: nameConstraintCount = try Self.subtrees(&cursor)
            default: return
            }
            try cursor.finish()
        } catch .tooMany where type == .subjectAlternativeName {
            throw .tooManyNames
        } catch .tooMany where type == .nameConstraints {
            throw .tooManyConstraints
        } catch {
            throw .badExtension(type)
        }
    }

    private static func purposes(_ cursor: inout DERCursor) throws(DERError) -> Set<ObjectIdentifier> {
        var list = cursor.inside(try cursor.next(DER.Tag.sequence))
        guard !list.isAtEnd else { throw .badValue }
        var purposes: Set<ObjectIdentifier> = []
        while !list.isAtEnd {
            guard purposes.count < 64 else { throw .tooMany }
            purposes.insert(try list.objectIdentifier(try list.next()))
        }
        return purposes
    }

    private static func names(_ cursor: inout DERCursor) throws(DERError) -> [GeneralName] {
        var list = cursor.inside(try cursor.next(DER.Tag.sequence))
        guard !list.isAtEnd else { throw .badValue }
        var names: [GeneralName] = []
        while !list.isAtEnd {
            guard names.count < Certificate.maximumAlternativeNames else { throw .tooMany }
            names.append(try GeneralName(parsing: try list.next(), of: list))
        }
        return names
    }

    /// NameConstraints ::= SEQUENCE { [0] permitted OPTIONAL, [1] excluded OPTIONAL }, each a list of subtrees
    private static func subtrees(_ cursor: inout DERCursor) throws(DERError) -> Int {
        var fields = cursor.inside(try cursor.next(DER.Tag.sequence))
        var count = 0
        for number in [UInt8(0), 1] {
            guard let element = try fields.optional(DER.Tag.constructedContext(number)) else { continue }
            var list = fields.inside(element)
            while !list.isAtEnd {
                _ = try list.next(DER.Tag.sequence)
                count += 1
                guard count <= Certificate.maximumNameConstraints else { throw .tooMany }
            }
        }
        try fields.finish()
        return count
    }
}

extension CertificateExtensions.BasicConstraints {
    /// BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }
    init(parsing cursor: inout DERCursor) throws(DERError) {
        var fields = cursor.inside(try cursor.next(DER.Tag.sequence))
        isAuthority = false
        if let element = try fields.optional(DER.Tag.boolean) { isAuthority = try fields.boolean(element) }
        if let element = try fields.optional(DER.Tag.integer) { maximumPathLength = try fields.smallInteger(element) }
        try fields.finish()
    }
}

extension CertificateExtensions.KeyUsage {
    init(parsing cursor: inout DERCursor) throws(DERError) {
        let bits = try cursor.bitString(try cursor.next(DER.Tag.bitString)).octets
        guard bits.count <= 2 else { throw .badValue }
        self.init(rawValue: UInt16(bits.first ?? 0) << 8 | UInt16(bits.dropFirst().first ?? 0))
    }
}
