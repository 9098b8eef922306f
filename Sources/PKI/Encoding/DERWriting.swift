import Wire

/// DER out of values: each function gives one whole element.
package enum DERWriting {
    package static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var result = [tag]
        if content.count < 0x80 {
            result.append(UInt8(truncatingIfNeeded: content.count))
        } else {
            var length: [UInt8] = []
            var rest = content.count
            while rest > 0 {
                length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
                rest >>= 8
            }
            result.append(0x80 | UInt8(truncatingIfNeeded: length.count))
            result += length
        }
        return result + content
    }

    package static func sequence(_ parts: [UInt8]...) -> [UInt8] { element(DER.Tag.sequence, parts.flatMap { $0 }) }
    package static func sequence(_ parts: [[UInt8]]) -> [UInt8] { element(DER.Tag.sequence, parts.flatMap { $0 }) }

    /// SET OF: its elements in ascending order.
    package static func set(_ parts: [[UInt8]]) -> [UInt8] {
        element(DER.Tag.set, parts.sorted { $0.lexicographicallyPrecedes($1) }.flatMap { $0 })
    }

    /// Explicit context tag.
    package static func explicit(_ number: UInt8, _ inner: [UInt8]) -> [UInt8] { element(DER.Tag.constructedContext(number), inner) }

    package static func boolean(_ value: Bool) -> [UInt8] { element(DER.Tag.boolean, [value ? 0xff : 0x00]) }
    package static var null: [UInt8] { [DER.Tag.null, 0] }
    package static func octetString(_ octets: [UInt8]) -> [UInt8] { element(DER.Tag.octetString, octets) }
    package static func bitString(_ octets: [UInt8], unused: UInt8 = 0) -> [UInt8] { element(DER.Tag.bitString, [unused] + octets) }
    package static func utf8(_ text: String) -> [UInt8] { element(DER.Tag.utf8String, Array(text.utf8)) }
    package static func printable(_ text: String) -> [UInt8] { element(DER.Tag.printableString, Array(text.utf8)) }
    package static func ia5(_ text: String) -> [UInt8] { element(DER.Tag.ia5String, Array(text.utf8)) }

    /// A number that is not negative, from its octets, most significant first.
    package static func integer(_ magnitude: [UInt8]) -> [UInt8] {
        let digits = Array(magnitude.drop { $0 == 0 })
        return element(DER.Tag.integer, (digits.first ?? 0x80) >= 0x80 ? [0] + digits : digits)
    }

    package static func integer(_ value: Int) -> [UInt8] {
        var magnitude: [UInt8] = []
        magnitude.append(bigEndian: UInt64(clamping: value))
        return integer(magnitude)
    }
}
