/// AES-XCBC-MAC, RFC 3566, with the keys of RFC 4434: all its blocks run through one AES-CBC context with an IV of zero, which is the chain that
/// the MAC is made of. Keyed once; nothing is allocated per call.
@safe struct XCBC: ~Copyable, Sendable {
    /// Octets of a block, of a key and of a result.
    static var blockLength: Int { @_noLocks get { 16 } }
    /// Octets that the chain takes at once.
    private static var stretch: Int { @_noLocks get { 512 } }

    private var context: CipherContext
    /// Octets that wait in `pending`: the last block of a message is treated differently, so that a full one waits as well.
    private var held = 0
    /// Pending block | K2 | K3 | an IV of zero | result | room for the chain's blocks; behind its own owner so that it is wiped.
    private let scratch: SecretOctets

    /// A key of 16 octets is taken as it is, a shorter one padded with zeros, a longer one shortened by the MAC itself (RFC 4434 section 2).
    /// Throws `.library`.
    init(key: borrowing SecretOctets) throws(CryptoError) {
        let block = Self.blockLength
        guard key.count <= block else {
            var shortening = try XCBC(exactKey: SecretOctets(count: block))
            var short = SecretOctets(count: block)
            let done = unsafe shortening.begin() && key.withUnsafeBytes { unsafe shortening.absorb($0) } && shortening.finish()
            guard done, unsafe short.withUnsafeMutableBytes({ unsafe shortening.copyResult(into: $0) }) else { throw .library }
            try self.init(exactKey: short)
            return
        }
        var padded = key.copy()
        padded.append([UInt8](repeating: 0, count: block - key.count))
        try self.init(exactKey: padded)
    }

    /// K1 = E(K, 01...), K2 = E(K, 02...), K3 = E(K, 03...); K1 keys the chain.
    private init(exactKey key: borrowing SecretOctets) throws(CryptoError) {
        let block = Self.blockLength
        var first = SecretOctets(count: block)
        var scratch = SecretOctets(count: 5 * block + Self.stretch)
        var deriving = try CipherContext(.aes128CBC, key: key, seals: true)
        let done = unsafe scratch.withUnsafeMutableBytes { all in
            unsafe first.withUnsafeMutableBytes { first in
                let zero = unsafe UnsafeRawBufferPointer(rebasing: all[3 * block..<4 * block])
                // With an IV of zero the first block of CBC is the cipher alone.
                func derive(_ octet: UInt8, into part: UnsafeMutableRawBufferPointer) -> Bool {
                    unsafe part.initializeMemory(as: UInt8.self, repeating: octet)
                    return unsafe deriving.restart(zero) && deriving.transform(part)
                }
                return unsafe derive(1, into: first) && derive(2, into: .init(rebasing: all[block..<2 * block]))
                    && derive(3, into: .init(rebasing: all[2 * block..<3 * block]))
            }
        }
        guard done else { throw .library }
        context = try CipherContext(.aes128CBC, key: first, seals: true)
        self.scratch = scratch
    }

    /// Starts a message; false when the library refuses.
    @_noLocks mutating func begin() -> Bool {
        held = 0
        return unsafe context.restart(UnsafeRawBufferPointer(start: scratch.base + 3 * Self.blockLength, count: Self.blockLength))
    }

    /// Takes the next part of the message.
    @_noLocks mutating func absorb(_ part: UnsafeRawBufferPointer) -> Bool {
        let block = Self.blockLength
        guard part.count > 0, let base = part.baseAddress else { return part.count == 0 }
        var taken = 0
        if held > 0 {
            taken = min(block &- held, part.count)
            guard unsafe copy(base, taken, to: held) else { return false }
            held &+= taken
            guard taken < part.count else { return true }
            guard unsafe context.chain(UnsafeRawBufferPointer(pending), through: room) else { return false }
            held = 0
        }
        // At least one octet stays behind.
        let whole = (part.count &- taken &- 1) / block &* block
        guard unsafe context.chain(UnsafeRawBufferPointer(start: base + taken, count: whole), through: room) else { return false }
        taken &+= whole
        guard unsafe copy(base + taken, part.count &- taken, to: 0) else { return false }
        held = part.count &- taken
        return true
    }

    /// Ends the message; the result waits for `copyResult` or `resultBegins`.
    @_noLocks mutating func finish() -> Bool {
        let block = Self.blockLength
        // A full last block takes K2; a short one, or none, is padded with a one bit and takes K3.
        let key = unsafe scratch.base + (held == block ? block : 2 &* block)
        var index = 0
        while index < block {
            var octet: UInt8 = 0
            if index < held { octet = unsafe scratch.base.load(fromByteOffset: index, as: UInt8.self) }
            if index == held { octet = 0x80 }
            octet ^= unsafe key.load(fromByteOffset: index, as: UInt8.self)
            unsafe scratch.base.storeBytes(of: octet, toByteOffset: index, as: UInt8.self)
            index &+= 1
        }
        held = 0
        return unsafe context.chain(UnsafeRawBufferPointer(pending), through: result)
    }

    /// Copies the first octets of the result; false when there are not as many.
    @_noLocks func copyResult(into octets: UnsafeMutableRawBufferPointer) -> Bool {
        unsafe LibCrypto.copyPrefix(UnsafeRawBufferPointer(result), into: octets)
    }

    /// Whether the result begins with these octets; constant time.
    @_noLocks func resultBegins(with octets: UnsafeRawBufferPointer) -> Bool {
        unsafe LibCrypto.isPrefix(octets, of: UnsafeRawBufferPointer(result))
    }

    private func copy(_ octets: UnsafeRawPointer, _ count: Int, to offset: Int) -> Bool {
        guard offset >= 0, count >= 0, offset &+ count <= Self.blockLength else { return false }
        return unsafe LibCrypto.copyPrefix(
            UnsafeRawBufferPointer(start: octets, count: count),
            into: UnsafeMutableRawBufferPointer(start: scratch.base + offset, count: count))
    }

    private var pending: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: scratch.base, count: Self.blockLength)
    }

    private var result: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: scratch.base + 4 * Self.blockLength, count: Self.blockLength)
    }

    private var room: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: scratch.base + 5 * Self.blockLength, count: Self.stretch)
    }
}
