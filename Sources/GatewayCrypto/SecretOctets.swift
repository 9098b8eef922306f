/// Key material with one owner: never copied silently, never printed, wiped when it goes (threats.md P28).
@safe package struct SecretOctets: ~Copyable, @unchecked Sendable {
    /// For the packet path and for C, where closures are not to be had: valid as long as the owner lives and does not grow.
    private(set) var base: UnsafeMutableRawPointer
    /// How many octets.
    package private(set) var count: Int

    /// `count` octets of zero; a negative count is none.
    package init(count: Int) {
        self.count = max(count, 0)
        unsafe base = LibCrypto.allocate(self.count)
    }

    package init(copying octets: [UInt8]) {
        self.init(count: octets.count)
        unsafe octets.withUnsafeBytes { source in
            unsafe UnsafeMutableRawBufferPointer(start: base, count: count).copyMemory(from: source)
        }
    }

    package init(copying octets: UnsafeRawBufferPointer) {
        self.init(count: octets.count)
        unsafe UnsafeMutableRawBufferPointer(start: base, count: count).copyMemory(from: octets)
    }

    deinit {
        unsafe LibCrypto.wipeAndFree(base, count)
    }

    /// Appends octets; the old block is wiped.
    package mutating func append(_ octets: [UInt8]) {
        unsafe octets.withUnsafeBytes { unsafe grow(by: $0) }
    }

    /// Appends another secret's octets; the old block is wiped.
    package mutating func append(_ other: borrowing SecretOctets) {
        unsafe grow(by: UnsafeRawBufferPointer(start: other.base, count: other.count))
    }

    private mutating func grow(by octets: UnsafeRawBufferPointer) {
        guard octets.count > 0 else { return }
        let total = count + octets.count
        let larger = unsafe LibCrypto.allocate(total)
        unsafe larger.copyMemory(from: base, byteCount: count)
        if let source = octets.baseAddress {
            unsafe (larger + count).copyMemory(from: source, byteCount: octets.count)
        }
        unsafe LibCrypto.wipeAndFree(base, count)
        unsafe base = larger
        count = total
    }

    /// A second owner of the same octets.
    package func copy() -> SecretOctets {
        unsafe SecretOctets(copying: UnsafeRawBufferPointer(start: base, count: count))
    }

    /// The octets of a range, such as one key of a keying string; throws `.badLength` outside.
    package func slice(_ range: Range<Int>) throws(CryptoError) -> SecretOctets {
        guard range.lowerBound >= 0, range.upperBound <= count else { throw .badLength }
        return unsafe SecretOctets(copying: UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
    }

    package func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(UnsafeRawBufferPointer(start: base, count: count))
    }

    package mutating func withUnsafeMutableBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try unsafe body(UnsafeMutableRawBufferPointer(start: base, count: count))
    }

    /// Compares in a time that depends on the lengths only.
    package func isEqual(to other: borrowing SecretOctets) -> Bool {
        unsafe LibCrypto.isEqual(
            UnsafeRawBufferPointer(start: base, count: count),
            UnsafeRawBufferPointer(start: other.base, count: other.count))
    }

    /// Compares in a time that depends on the lengths only.
    package func isEqual(to other: [UInt8]) -> Bool {
        unsafe other.withUnsafeBytes { octets in
            unsafe LibCrypto.isEqual(UnsafeRawBufferPointer(start: base, count: count), octets)
        }
    }

    /// The octets as an array that nobody wipes: for values that go on the wire, such as AUTH, and for vectors.
    package func exposed() -> [UInt8] {
        unsafe [UInt8](UnsafeRawBufferPointer(start: base, count: count))
    }
}
