import Wire

/// An X.501 name. Two are equal when RFC 5280 section 7.1 says so: attribute by attribute in order, strings of any type compared after
/// folding ASCII case and white space; without Unicode normalisation (threats.md P39).
package struct DistinguishedName: Sendable {
    package static let maximumRelativeNames = 128

    /// As it came: SEQUENCE OF relative names.
    package let der: [UInt8]
    /// What is compared: lengths, types and folded values one behind the other.
    private let canonical: [UInt8]
    /// Readable, see `description`.
    private let text: String
    package let relativeNameCount: Int
    /// A string with an embedded NUL, which matches no identity (threats.md P39).
    package let containsNUL: Bool
    /// emailAddress attributes: name constraints hold for them too.
    let emailAddressCount: Int

    package var isEmpty: Bool { relativeNameCount == 0 }

    /// Of an ID_DER_ASN1_DN; throws what is wrong with it.
    package init(der: [UInt8]) throws(DERError) {
        guard der.count <= Certificate.maximumSize else { throw .tooMany }
        var cursor = DERCursor(der)
        let element = try cursor.next(DER.Tag.sequence)
        try cursor.finish()
        try self.init(parsing: element, of: cursor)
    }

    /// Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }
    init(parsing element: DERElement, of outer: DERCursor) throws(DERError) {
        guard element.tag == DER.Tag.sequence else { throw .unexpectedTag }
        var names = outer.inside(element)
        var canonical: [UInt8] = []
        var text = ""
        var relativeNames = 0
        var attributeCount = 0
        var containsNUL = false
        var emails = 0
        while !names.isAtEnd {
            let set = try names.next(DER.Tag.set)
            relativeNames += 1
            guard relativeNames <= Self.maximumRelativeNames else { throw .tooMany }
            var attributes: [[UInt8]] = []
            var members = names.inside(set)
            guard !members.isAtEnd else { throw .badValue }
            while !members.isAtEnd {
                attributeCount += 1
                guard attributeCount <= Self.maximumRelativeNames else { throw .tooMany }
                var pair = members.inside(try members.next(DER.Tag.sequence))
                let type = try pair.objectIdentifier(try pair.next())
                let value = try pair.next()
                try pair.finish()
                let string = try DirectoryString.utf8(value.tag, pair.content(value))
                containsNUL = containsNUL || string?.contains(0) == true
                if type == .emailAddress { emails += 1 }
                attributes.append(Self.canonical(type, string, whole: pair.whole(value)))
                if text.utf8.count < EscapedName.maximum {
                    text += text.isEmpty ? "" : attributes.count > 1 ? "+" : ", "
                    text += (Self.keywords[type] ?? "OID") + "=" + EscapedName.text(string ?? pair.content(value), quoting: ",+=\"")
                }
            }
            var part: [UInt8] = []
            for attribute in attributes.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
                part.append(bigEndian: UInt32(clamping: attribute.count))
                part += attribute
            }
            canonical.append(bigEndian: UInt32(clamping: part.count))
            canonical += part
        }
        der = outer.whole(element)
        self.canonical = canonical
        self.text = EscapedName.cut(text)
        relativeNameCount = relativeNames
        self.containsNUL = containsNUL
        emailAddressCount = emails
    }

    private static func canonical(_ type: ObjectIdentifier, _ string: [UInt8]?, whole: [UInt8]) -> [UInt8] {
        var result = [UInt8(clamping: type.content.count)] + type.content
        if let string {
            result.append(1)
            result += DirectoryString.folded(string)
        } else {
            result.append(0)
            result += whole
        }
        return result
    }

    private static let keywords: [ObjectIdentifier: String] = [
        .commonName: "CN", .surname: "SN", .serialNumber: "serialNumber", .country: "C", .locality: "L", .stateOrProvince: "ST", .street: "STREET",
        .organization: "O", .organizationalUnit: "OU", .title: "T", .givenName: "G", .domainComponent: "DC", .userID: "UID",
        .emailAddress: "E",
    ]
}

extension DistinguishedName: Hashable {
    package static func == (left: DistinguishedName, right: DistinguishedName) -> Bool { left.canonical == right.canonical }
    package func hash(into hasher: inout Hasher) { hasher.combine(canonical) }
}

extension DistinguishedName: CustomStringConvertible {
    /// Printable ASCII in the name's own order, at most 256 octets; for people, never to decide something (threats.md C11).
    package var description: String { text }
}

extension DistinguishedName {
    /// A name of our own making: (keyword, value), one attribute each; an unknown keyword is nil.
    package init?(_ attributes: [(String, String)]) {
        var parts: [[UInt8]] = []
        for (keyword, value) in attributes {
            guard let type = Self.keywords.first(where: { $0.value == keyword })?.key else { return nil }
            let string: [UInt8] =
                switch type {
                case .country, .serialNumber: DERWriting.printable(value)
                case .domainComponent, .emailAddress: DERWriting.ia5(value)
                default: DERWriting.utf8(value)
                }
            parts.append(DERWriting.set([DERWriting.sequence(type.der, string)]))
        }
        guard let name = try? DistinguishedName(der: DERWriting.sequence(parts)) else { return nil }
        self = name
    }

    /// The last common name, for what clients show and compare as text.
    package var commonName: String? { try? lastCommonName() }

    private func lastCommonName() throws(DERError) -> String? {
        var cursor = DERCursor(der)
        var names = cursor.inside(try cursor.next(DER.Tag.sequence))
        var found: String?
        while !names.isAtEnd {
            var members = names.inside(try names.next(DER.Tag.set))
            while !members.isAtEnd {
                var pair = members.inside(try members.next(DER.Tag.sequence))
                guard try pair.objectIdentifier(try pair.next()) == .commonName else { continue }
                let value = try pair.next()
                found = try DirectoryString.utf8(value.tag, pair.content(value)).map { String(decoding: $0, as: UTF8.self) }
            }
        }
        return found
    }
}

/// The string types of names.
enum DirectoryString {
    /// A string's UTF-8 octets; nil for another type, which is compared as it is. Throws for a string that is none.
    static func utf8(_ tag: UInt8, _ octets: [UInt8]) throws(DERError) -> [UInt8]? {
        switch tag {
        case DER.Tag.utf8String:
            guard String(validating: octets, as: UTF8.self) != nil else { throw .badValue }
            return octets
        case DER.Tag.printableString, DER.Tag.ia5String, DER.Tag.visibleString, DER.Tag.teletexString:
            // above ASCII as Latin 1: what the field does with TeletexString
            return octets.allSatisfy { $0 < 0x80 } ? octets : Array(String(String.UnicodeScalarView(octets.map { Unicode.Scalar($0) })).utf8)
        case DER.Tag.bmpString: return try scalars(octets, width: 2)
        case DER.Tag.universalString: return try scalars(octets, width: 4)
        default: return nil
        }
    }

    private static func scalars(_ octets: [UInt8], width: Int) throws(DERError) -> [UInt8] {
        guard octets.count.isMultiple(of: width) else { throw .badValue }
        var text = String.UnicodeScalarView()
        var value: UInt32 = 0
        for (index, octet) in octets.enumerated() {
            value = value << 8 | UInt32(octet)
            guard index % width == width - 1 else { continue }
            guard let scalar = Unicode.Scalar(value) else { throw .badValue }
            text.append(scalar)
            value = 0
        }
        return Array(String(text).utf8)
    }

    /// ASCII letters in lower case, runs of ASCII white space as one blank, none at the ends.
    static func folded(_ utf8: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(utf8.count)
        var blank = false
        for octet in utf8 {
            if octet == 0x20 || (0x09...0x0d).contains(octet) {
                blank = !result.isEmpty
                continue
            }
            if blank { result.append(0x20) }
            blank = false
            result.append(octet.lowercased)
        }
        return result
    }
}

extension UInt8 {
    /// ASCII only.
    var lowercased: UInt8 { (0x41...0x5a).contains(self) ? self | 0x20 : self }
}

/// Names as one line of printable ASCII (threats.md C11).
package enum EscapedName {
    package static let maximum = 256

    /// Octets outside printable ASCII as \xx, the characters of `quoting` and the backslash with one before them.
    package static func text(_ octets: some Collection<UInt8>, quoting: String = "") -> String {
        var text: [UInt8] = []
        for octet in octets.prefix(maximum) {
            switch octet {
            case 0x20...0x7e:
                if octet == UInt8(ascii: "\\") || quoting.utf8.contains(octet) { text.append(UInt8(ascii: "\\")) }
                text.append(octet)
            default:
                text.append(UInt8(ascii: "\\"))
                text += [octet].hexadecimal.utf8
            }
        }
        return cut(String(decoding: text, as: UTF8.self))
    }

    static func cut(_ text: String) -> String {
        text.utf8.count <= maximum ? text : String(decoding: text.utf8.prefix(maximum - 3), as: UTF8.self) + "..."
    }
}
