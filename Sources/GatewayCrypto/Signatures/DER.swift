internal import Wire

/// As much DER (X.690) as keys and signatures need: definite lengths in their shortest form, nothing nested deeper than the caller asks for.
enum DER {
    static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var octets = [tag]
        if content.count < 0x80 {
            octets.append(UInt8(truncatingIfNeeded: content.count))
        } else {
            var length: [UInt8] = []
            length.append(bigEndian: UInt64(content.count))
            let digits = length.drop { $0 == 0 }
            octets.append(0x80 | UInt8(truncatingIfNeeded: digits.count))
            octets += digits
        }
        return octets + content
    }

    static func sequence(_ content: [UInt8]) -> [UInt8] { element(0x30, content) }
    static func object(_ content: [UInt8]) -> [UInt8] { element(0x06, content) }
    /// Explicit, constructed, context-specific.
    static func tagged(_ number: UInt8, _ content: [UInt8]) -> [UInt8] { element(0xa0 | number, content) }

    /// INTEGER from a number's octets, most significant first.
    static func integer(_ number: some Sequence<UInt8>) -> [UInt8] {
        let digits = Array(number.drop { $0 == 0 })
        return element(0x02, digits.first.map { $0 < 0x80 } == true ? digits : [0] + digits)
    }
}

extension RawSpan {
    /// Takes an element of this tag off the front and hands out its content. Throws `.badValue` for another tag, `.badLength` for a length not
    /// in its shortest form or beyond 64 KiB, `.truncated`.
    mutating func element(_ tag: UInt8) throws(WireError) -> [UInt8] {
        guard try next(UInt8.self) == tag else { throw .badValue }
        let first = try next(UInt8.self)
        let length: Int
        switch first {
        case 0..<0x80:
            length = Int(first)
        case 0x81:
            length = Int(try next(UInt8.self))
            guard length >= 0x80 else { throw .badLength }
        case 0x82:
            length = Int(try next(UInt16.self))
            guard length >= 0x100 else { throw .badLength }
        default:
            throw .badLength
        }
        return try octets(length)
    }

    /// Takes an INTEGER that is not negative; its octets without leading zeros. Throws `.badValue` for another encoding than the shortest.
    mutating func unsignedInteger() throws(WireError) -> [UInt8] {
        let content = try element(0x02)
        guard let first = content.first, first < 0x80 else { throw .badValue }
        guard first == 0, content.count > 1 else { return first == 0 ? [] : content }
        let digits = Array(content.dropFirst())
        guard let next = digits.first, next >= 0x80 else { throw .badValue }
        return digits
    }
}
