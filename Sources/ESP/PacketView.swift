/// Octets of a packet in place. Total: reading outside gives 0, writing outside does nothing, so that no length from a peer can trap here or reach
/// beyond the buffer. Callers check lengths first all the same, and say which drop it is.
@safe
package struct PacketView {
    private let base: UnsafeMutableRawPointer?
    package let count: Int

    /// The octets of a buffer, which must outlive the view.
    @_noLocks
    package init(_ buffer: UnsafeMutableRawBufferPointer) {
        unsafe base = buffer.baseAddress
        count = buffer.count
    }

    @_noLocks
    private init(base: UnsafeMutableRawPointer?, count: Int) {
        unsafe self.base = base
        self.count = count
    }

    /// The part from `offset`, `length` octets long; empty when that is not inside.
    @_noLocks
    package func part(_ offset: Int, _ length: Int) -> PacketView {
        guard let base = unsafe base, holds(offset, length) else { return unsafe PacketView(base: nil, count: 0) }
        return unsafe PacketView(base: base + offset, count: length)
    }

    /// The part, not asked whether it lies inside: for what a check of the whole packet's length has shown.
    @_noLocks
    @unsafe func provenPart(_ offset: Int, _ length: Int) -> PacketView {
        guard let base = unsafe base else { return unsafe PacketView(base: nil, count: 0) }
        return unsafe PacketView(base: base + offset, count: length)
    }

    /// Whether `length` octets from `offset` lie inside.
    @_noLocks
    package func holds(_ offset: Int, _ length: Int) -> Bool {
        offset >= 0 && length >= 0 && offset <= count && length <= count &- offset
    }

    /// For C and ciphers.
    package var buffer: UnsafeMutableRawBufferPointer {
        @_noLocks get { unsafe UnsafeMutableRawBufferPointer(start: base, count: count) }
    }

    package var readOnly: UnsafeRawBufferPointer {
        @_noLocks get { unsafe UnsafeRawBufferPointer(start: base, count: count) }
    }

    @_noLocks
    package func u8(_ offset: Int) -> UInt8 {
        guard let base = unsafe base, holds(offset, 1) else { return 0 }
        return unsafe base.load(fromByteOffset: offset, as: UInt8.self)
    }

    @_noLocks
    package func u16(_ offset: Int) -> UInt16 {
        guard let base = unsafe base, holds(offset, 2) else { return 0 }
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt16.self).bigEndian
    }

    @_noLocks
    package func u32(_ offset: Int) -> UInt32 {
        guard let base = unsafe base, holds(offset, 4) else { return 0 }
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt32.self).bigEndian
    }

    @_noLocks
    package func u64(_ offset: Int) -> UInt64 {
        guard let base = unsafe base, holds(offset, 8) else { return 0 }
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: UInt64.self).bigEndian
    }

    /// The 16-bit words added up as the processor reads them, modulo 2^16 - 1; an odd octet at the end is the first of one. RFC 1071 section 2: words may
    /// be wider, where what they carry over is added again. Four sums side by side, so that none waits for another.
    @_noLocks
    package func nativeSum() -> UInt64 {
        guard let base = unsafe base else { return 0 }
        var (first, second, third, fourth): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var at = 0
        var left = count
        while left >= 64 {
            unsafe Self.add(&first, base, at)
            unsafe Self.add(&second, base, at &+ 8)
            unsafe Self.add(&third, base, at &+ 16)
            unsafe Self.add(&fourth, base, at &+ 24)
            unsafe Self.add(&first, base, at &+ 32)
            unsafe Self.add(&second, base, at &+ 40)
            unsafe Self.add(&third, base, at &+ 48)
            unsafe Self.add(&fourth, base, at &+ 56)
            at &+= 64
            left &-= 64
        }
        while left >= 8 {
            unsafe Self.add(&first, base, at)
            at &+= 8
            left &-= 8
        }
        // What is left of a word, behind it zeros
        var rest: UInt64 = 0
        if left >= 4 {
            rest = UInt64(unsafe base.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            at &+= 4
            left &-= 4
        }
        if left >= 2 {
            rest &+= UInt64(unsafe base.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            at &+= 2
            left &-= 2
        }
        if left > 0 { rest &+= UInt64(UInt16(unsafe base.load(fromByteOffset: at, as: UInt8.self)).littleEndian) }
        // Half words, so that nothing is carried any more
        return Self.halves(first) &+ Self.halves(second) &+ Self.halves(third) &+ Self.halves(fourth) &+ rest
    }

    @inline(__always)
    private static func add(_ sum: inout UInt64, _ base: UnsafeMutableRawPointer, _ offset: Int) {
        let (partial, carries) = unsafe sum.addingReportingOverflow(base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        sum = partial &+ (carries ? 1 : 0)
    }

    @inline(__always)
    private static func halves(_ sum: UInt64) -> UInt64 { (sum & 0xffff_ffff) &+ (sum >> 32) }

    @_noLocks
    package func put(_ value: UInt8, at offset: Int) {
        guard let base = unsafe base, holds(offset, 1) else { return }
        unsafe base.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    @_noLocks
    package func put(_ value: UInt16, at offset: Int) {
        guard let base = unsafe base, holds(offset, 2) else { return }
        unsafe base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    @_noLocks
    package func put(_ value: UInt32, at offset: Int) {
        guard let base = unsafe base, holds(offset, 4) else { return }
        unsafe base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    @_noLocks
    package func put(_ value: UInt64, at offset: Int) {
        guard let base = unsafe base, holds(offset, 8) else { return }
        unsafe base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Copies `length` octets of another view; false, and nothing copied, when they do not lie inside both.
    @_noLocks
    @discardableResult
    package func copy(from source: PacketView, _ sourceOffset: Int, to offset: Int, _ length: Int) -> Bool {
        guard length > 0 else { return length == 0 }
        guard let base = unsafe base, let origin = unsafe source.base, holds(offset, length), source.holds(sourceOffset, length) else {
            return false
        }
        unsafe (base + offset).copyMemory(from: origin + sourceOffset, byteCount: length)
        return true
    }

    /// The octets as an array of their own; not for the packet path.
    package var octets: [UInt8] { unsafe [UInt8](readOnly) }
}
