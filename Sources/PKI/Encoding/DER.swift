/// Why octets are not the DER that was expected.
package enum DERError: Error, Hashable, Sendable {
    /// Fewer octets than a length says.
    case truncated
    /// A length that is indefinite, not minimal, or larger than 32 bits.
    case badLength
    /// A tag of more than one octet, or another one than the structure asks for.
    case unexpectedTag
    /// Octets left over where the structure must end.
    case trailing
    /// A value its type does not allow.
    case badValue
    /// Nesting beyond `DER.maximumDepth` (threats.md C3).
    case tooDeep
    /// More elements of one kind than its cap (threats.md C3).
    case tooMany
}

/// Distinguished encoding rules, X.690: strict, definite lengths only, nesting bounded.
package enum DER {
    package static let maximumDepth = 32

    enum Tag {
        static let boolean: UInt8 = 0x01
        static let integer: UInt8 = 0x02
        static let bitString: UInt8 = 0x03
        static let octetString: UInt8 = 0x04
        static let null: UInt8 = 0x05
        static let objectIdentifier: UInt8 = 0x06
        static let utf8String: UInt8 = 0x0c
        static let printableString: UInt8 = 0x13
        static let teletexString: UInt8 = 0x14
        static let ia5String: UInt8 = 0x16
        static let utcTime: UInt8 = 0x17
        static let generalizedTime: UInt8 = 0x18
        static let visibleString: UInt8 = 0x1a
        static let universalString: UInt8 = 0x1c
        static let bmpString: UInt8 = 0x1e
        static let sequence: UInt8 = 0x30
        static let set: UInt8 = 0x31
        static let constructed: UInt8 = 0x20

        static func context(_ number: UInt8) -> UInt8 { 0x80 | number }
        static func constructedContext(_ number: UInt8) -> UInt8 { 0xa0 | number }
    }

    /// Goes over the whole nesting once, without recursion: every length, every object identifier. Each step consumes an element's header, so the
    /// work is linear in the octets. Throws what is wrong first.
    static func scan(_ octets: [UInt8], _ range: Range<Int>? = nil) throws(DERError) {
        var cursor = DERCursor(octets, range ?? 0..<octets.count)
        var outer: [DERCursor] = []
        while true {
            guard !cursor.isAtEnd else {
                guard let next = outer.popLast() else { return }
                cursor = next
                continue
            }
            let element = try cursor.next()
            if element.tag == Tag.objectIdentifier {
                _ = try cursor.objectIdentifier(element)
            } else if element.tag & Tag.constructed != 0 {
                guard outer.count < maximumDepth - 1 else { throw .tooDeep }
                outer.append(cursor)
                cursor = cursor.inside(element)
            }
        }
    }
}

/// One tag, length, value; ranges within the cursor's octets.
struct DERElement: Hashable, Sendable {
    let tag: UInt8
    let whole: Range<Int>
    let content: Range<Int>
}

/// Reads elements off the front of a range of octets. The one place that looks at certificate octets by index.
struct DERCursor {
    let octets: [UInt8]
    private var position: Int
    private let end: Int

    init(_ octets: [UInt8]) { self.init(octets, 0..<octets.count) }

    init(_ octets: [UInt8], _ range: Range<Int>) {
        self.octets = octets
        let range = range.clamped(to: 0..<octets.count)
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position >= end }

    /// The next element's tag.
    var tag: UInt8? { isAtEnd ? nil : octets[position] }

    private mutating func octet() throws(DERError) -> UInt8 {
        guard position < end else { throw .truncated }
        defer { position += 1 }
        return octets[position]
    }

    mutating func next() throws(DERError) -> DERElement {
        let start = position
        let tag = try octet()
        guard tag & 0x1f != 0x1f else { throw .unexpectedTag }
        let first = try octet()
        var length = Int(first)
        if first & 0x80 != 0 {
            let count = Int(first & 0x7f)
            guard (1...4).contains(count) else { throw .badLength }
            length = 0
            for index in 0..<count {
                let octet = try octet()
                guard index > 0 || octet != 0 else { throw .badLength }
                length = length << 8 | Int(octet)
            }
            guard length >= 0x80 else { throw .badLength }
        }
        guard length <= end - position else { throw .truncated }
        let content = position..<(position + length)
        position = content.upperBound
        return DERElement(tag: tag, whole: start..<content.upperBound, content: content)
    }

    mutating func next(_ expected: UInt8) throws(DERError) -> DERElement {
        let element = try next()
        guard element.tag == expected else { throw .unexpectedTag }
        return element
    }

    mutating func optional(_ expected: UInt8) throws(DERError) -> DERElement? {
        guard tag == expected else { return nil }
        return try next()
    }

    func inside(_ element: DERElement) -> DERCursor { DERCursor(octets, element.content) }

    /// The element's value.
    func content(_ element: DERElement) -> [UInt8] { Array(octets[element.content.clamped(to: 0..<octets.count)]) }

    /// The element with its header.
    func whole(_ element: DERElement) -> [UInt8] { Array(octets[element.whole.clamped(to: 0..<octets.count)]) }

    /// Throws `.trailing` unless everything was read.
    func finish() throws(DERError) {
        guard isAtEnd else { throw .trailing }
    }

    func objectIdentifier(_ element: DERElement) throws(DERError) -> ObjectIdentifier {
        guard element.tag == DER.Tag.objectIdentifier else { throw .unexpectedTag }
        return try ObjectIdentifier(content: content(element))
    }

    /// A BOOLEAN, strictly 0 or 255.
    func boolean(_ element: DERElement) throws(DERError) -> Bool {
        switch content(element) {
        case [0x00]: return false
        case [0xff]: return true
        default: throw .badValue
        }
    }

    /// An INTEGER's octets, two's complement in the fewest octets.
    func integer(_ element: DERElement) throws(DERError) -> [UInt8] {
        let value = content(element)
        guard let first = value.first else { throw .badValue }
        if value.count > 1, (first == 0 && value[1] < 0x80) || (first == 0xff && value[1] >= 0x80) { throw .badValue }
        return value
    }

    /// An INTEGER that is not negative, without a leading zero octet; empty for zero.
    func magnitude(_ element: DERElement) throws(DERError) -> [UInt8] {
        let value = try integer(element)
        guard let first = value.first, first < 0x80 else { throw .badValue }
        return first == 0 ? Array(value.dropFirst()) : value
    }

    /// An INTEGER 0 ... 2^31 - 1.
    func smallInteger(_ element: DERElement) throws(DERError) -> Int {
        let value = try magnitude(element)
        guard value.count <= 4 else { throw .badValue }
        let number = value.reduce(0) { $0 << 8 | Int($1) }
        guard number <= Int(Int32.max) else { throw .badValue }
        return number
    }

    /// A BIT STRING's octets and how many bits of the last one do not count.
    func bitString(_ element: DERElement) throws(DERError) -> (octets: [UInt8], unused: Int) {
        let value = content(element)
        guard let unused = value.first, unused < 8, value.count > 1 || unused == 0 else { throw .badValue }
        return (Array(value.dropFirst()), Int(unused))
    }
}
