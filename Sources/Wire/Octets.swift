/// Why octets could not be read; nothing here says anything about the peer beyond the octets themselves.
@usableFromInline
package enum WireError: Error, Equatable, Sendable {
    /// Fewer octets left than the field needs.
    case truncated
    /// A length field that is smaller than its own header, larger than what holds it, or not a legal size.
    case badLength
    /// Octets left over where the structure must end.
    case trailingOctets
    /// A field whose value the structure does not allow.
    case badValue
    /// More elements than the cap on this kind of element (threats.md C3).
    case tooMany
}

extension RawSpan {
    /// Takes a big-endian integer off the front; throws `.truncated`.
    @inlinable
    package mutating func next<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type = T.self
    ) throws(WireError) -> T {
        let size = MemoryLayout<T>.size
        guard byteCount >= size else { throw .truncated }
        defer { self = extracting(droppingFirst: size) }
        return T(bigEndian: unsafe unsafeLoadUnaligned(as: T.self))
    }

    /// Takes `count` octets off the front; throws `.truncated`.
    @inlinable
    package mutating func octets(_ count: Int) throws(WireError) -> [UInt8] {
        guard count >= 0, byteCount >= count else { throw .truncated }
        defer { self = extracting(droppingFirst: count) }
        return extracting(first: count).copied()
    }

    /// Takes everything that is left.
    package mutating func rest() -> [UInt8] {
        defer { self = extracting(droppingFirst: byteCount) }
        return copied()
    }

    /// Drops `count` octets off the front; throws `.truncated`.
    @inlinable
    package mutating func skip(_ count: Int) throws(WireError) {
        guard count >= 0, byteCount >= count else { throw .truncated }
        self = extracting(droppingFirst: count)
    }

    /// Hands the first `count` octets to `body`, which must use them up (else `.trailingOctets`), and steps behind them.
    @inlinable
    package mutating func nested<Result, Failure: Error>(
        _ count: Int, _ body: (inout RawSpan) throws(Failure) -> Result,
        orElse failure: (WireError) -> Failure
    ) throws(Failure) -> Result {
        guard count >= 0, byteCount >= count else { throw failure(.truncated) }
        var part = extracting(first: count)
        let result = try body(&part)
        guard part.isEmpty else { throw failure(.trailingOctets) }
        self = extracting(droppingFirst: count)
        return result
    }

    /// The same for bodies that throw `WireError`.
    @inlinable
    package mutating func nested<Result>(
        _ count: Int, _ body: (inout RawSpan) throws(WireError) -> Result
    ) throws(WireError) -> Result {
        try nested(count, body, orElse: { $0 })
    }

    /// The octets as an array of their own.
    @inlinable
    package func copied() -> [UInt8] {
        guard byteCount > 0 else { return [] }
        return unsafe withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// Throws `.trailingOctets` unless everything was read.
    package func end() throws(WireError) {
        guard isEmpty else { throw .trailingOctets }
    }
}

extension [UInt8] {
    /// Appends an integer, most significant octet first.
    @inlinable
    package mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
        unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append(contentsOf: $0) }
    }

    /// Overwrites a 16-bit field that was appended before its value was known; does nothing outside the array.
    package mutating func patch(bigEndian value: UInt16, at index: Int) {
        guard index >= 0, index + 2 <= count else { return }
        self[index] = UInt8(truncatingIfNeeded: value >> 8)
        self[index + 1] = UInt8(truncatingIfNeeded: value)
    }

    /// Overwrites a 32-bit field that was appended before its value was known; does nothing outside the array.
    package mutating func patch(bigEndian value: UInt32, at index: Int) {
        guard index >= 0, index + 4 <= count else { return }
        for offset in 0..<4 {
            self[index + offset] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * offset))
        }
    }

    /// Lower-case hexadecimal, without separators.
    package var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(count * 2)
        for octet in self {
            text.append(digits[Int(octet >> 4)])
            text.append(digits[Int(octet & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Octets from hexadecimal digits (blanks are passed over), or nil.
    package init?(hexadecimal text: some StringProtocol) {
        self = []
        var high: UInt8?
        for character in text where !character.isWhitespace {
            guard let digit = character.hexDigitValue else { return nil }
            if let upper = high {
                append(upper << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        guard high == nil else { return nil }
    }
}
