package import Wire

/// RFC 5280 section 4.2.1.6, as it came: nothing here was checked to be a sensible name.
package enum GeneralName: Hashable, Sendable {
    case rfc822([UInt8])
    case dns([UInt8])
    case directory(DistinguishedName)
    case uri([UInt8])
    case address(IPAddress)
    /// Another form, or an address of another length: tag and content.
    case other(UInt8, [UInt8])

    /// Of an ID_DER_ASN1_GN.
    package init(der: [UInt8]) throws(DERError) {
        try DER.scan(der)
        var cursor = DERCursor(der)
        let element = try cursor.next()
        try cursor.finish()
        try self.init(parsing: element, of: cursor)
    }

    init(parsing element: DERElement, of cursor: DERCursor) throws(DERError) {
        let content = cursor.content(element)
        switch element.tag {
        case DER.Tag.context(1): self = .rfc822(content)
        case DER.Tag.context(2): self = .dns(content)
        case DER.Tag.constructedContext(4):
            var inner = cursor.inside(element)
            let name = try inner.next()
            try inner.finish()
            self = .directory(try DistinguishedName(parsing: name, of: inner))
        case DER.Tag.context(6): self = .uri(content)
        case DER.Tag.context(7):
            guard let address = IPAddress(octets: content) else {
                self = .other(element.tag, content)
                return
            }
            self = .address(address)
        case DER.Tag.context(0)...DER.Tag.context(8), DER.Tag.constructedContext(0)...DER.Tag.constructedContext(8):
            self = .other(element.tag, content)
        default: throw .unexpectedTag
        }
    }

    package var der: [UInt8] {
        switch self {
        case .rfc822(let text): DERWriting.element(DER.Tag.context(1), text)
        case .dns(let text): DERWriting.element(DER.Tag.context(2), text)
        case .directory(let name): DERWriting.element(DER.Tag.constructedContext(4), name.der)
        case .uri(let text): DERWriting.element(DER.Tag.context(6), text)
        case .address(let address): DERWriting.element(DER.Tag.context(7), address.octets)
        case .other(let tag, let content): DERWriting.element(tag, content)
        }
    }

    package static func dns(_ text: String) -> GeneralName { .dns(Array(text.utf8)) }
    package static func rfc822(_ text: String) -> GeneralName { .rfc822(Array(text.utf8)) }
}
