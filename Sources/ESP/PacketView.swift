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

    /// The 16-bit words added up as the processor reads them; an odd octet at the end is the first of one. 16 octets a step: the compiler makes vectors
    /// of it.
    @_noLocks
    package func nativeSum() -> UInt64 {
        guard let base = unsafe base else { return 0 }
        var (first, second): (UInt64, UInt64) = (0, 0)
        var at = 0
        while at &+ 16 <= count {
            let low = unsafe base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let high = unsafe base.loadUnaligned(fromByteOffset: at &+ 8, as: UInt64.self)
            first &+= (low & 0xffff_ffff) &+ (low >> 32)
            second &+= (high & 0xffff_ffff) &+ (high >> 32)
            at &+= 16
        }
        while at &+ 2 <= count {
            first &+= UInt64(unsafe base.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            at &+= 2
        }
        if at < count { first &+= UInt64(UInt16(unsafe base.load(fromByteOffset: at, as: UInt8.self)).littleEndian) }
        return first &+ second
    }

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
