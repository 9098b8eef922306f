import IKEMessages
import RoadWarrior
import Wire

/// An IKE_SA_INIT request that a road warrior has really made, to be sent again under other SPIs and nonces.
struct InitTemplate {
    let octets: [UInt8]
    private let nonce: Range<Int>

    /// Nil for a message without a nonce.
    init?(_ message: [UInt8]) {
        guard let nonce = PayloadChain(message).places.first(where: { $0.type == PayloadType.nonce.rawValue })?.range.dropFirst(4) else { return nil }
        octets = message
        self.nonce = nonce.startIndex..<nonce.endIndex
    }

    /// Octets of the message with a cookie of so many octets; 0: without one.
    func length(cookie: Int) -> Int { octets.count + (cookie > 0 ? 8 + cookie : 0) }

    /// Writes the message of this SPI into memory of its length. The nonce comes from the SPI, so that nothing has to be remembered.
    func write(spi: UInt64, seed: UInt64, cookie: ArraySlice<UInt8> = [], into memory: UnsafeMutableRawBufferPointer) {
        let shift = cookie.isEmpty ? 0 : 8 + cookie.count
        unsafe octets.withUnsafeBytes { message in
            unsafe memory.copyMemory(from: UnsafeRawBufferPointer(rebasing: message[..<IKEHeader.length]))
            let rest = unsafe UnsafeRawBufferPointer(rebasing: message[IKEHeader.length...])
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[(IKEHeader.length + shift)...]).copyMemory(from: rest)
        }
        unsafe memory.storeBytes(of: spi.bigEndian, as: UInt64.self)
        var generator = SplitMix64(seed: spi ^ seed)
        var place = nonce.lowerBound + shift
        while place < nonce.upperBound + shift {
            let word = generator.next()
            for index in 0..<min(8, nonce.upperBound + shift - place) {
                unsafe memory[place + index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * index))
            }
            place += 8
        }
        guard shift > 0 else { return }
        // HDR, N(COOKIE), what there was: RFC 7296 section 2.6.
        let (first, length) = (octets[16], UInt32(octets.count + shift))
        unsafe memory[16] = PayloadType.notify.rawValue
        unsafe memory.storeBytes(of: length.bigEndian, toByteOffset: 24, as: UInt32.self)
        let notify: [UInt8] = [first, 0, UInt8(shift >> 8), UInt8(shift & 0xff), 0, 0, 0x40, 0x06] + cookie
        unsafe UnsafeMutableRawBufferPointer(rebasing: memory[IKEHeader.length..<IKEHeader.length + shift]).copyBytes(from: notify)
    }

    func message(spi: UInt64, seed: UInt64, cookie: ArraySlice<UInt8> = []) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: length(cookie: cookie.count))
        unsafe message.withUnsafeMutableBytes { unsafe write(spi: spi, seed: seed, cookie: cookie, into: $0) }
        return message
    }
}

/// Several of them, each with a key that was made for it.
struct InitTemplates {
    let templates: [InitTemplate]
    let seed: UInt64

    /// - Parameter count: keys; what a stateless flood of the real world has, made once.
    init(count: Int, seed: UInt64, remote: Endpoint, proposals: [Proposal]) {
        self.seed = seed
        templates = (0..<count).compactMap { _ in
            var settings = RoadWarrior.Settings(
                presharedKey: Secret([]), identity: IdentificationPayload(form: "flood"),
                local: Endpoint(IPAddress(family: remote.address.family, value: 0), port: 500), remote: remote)
            settings.ikeProposals = proposals
            // Hashes that fit no address: as behind a NAT, and with SPIs that change.
            settings.natClaim = .behindNAT
            settings.longestMessage = 1228
            var outputs: [RoadWarrior.Output] = []
            var warrior = RoadWarrior(settings)
            warrior.start(at: Instant(nanoseconds: 0), into: &outputs)
            for case .send(let datagram) in outputs { return InitTemplate(datagram.octets) }
            return nil
        }
    }

    /// The template of an SPI.
    subscript(spi: UInt64) -> InitTemplate { templates[Int(spi % UInt64(templates.count))] }
}

/// Where the payloads of a message lie that is well-formed; of others as far as they are.
struct PayloadChain {
    struct Place {
        let type: UInt8
        /// Header and body.
        let range: Range<Int>
    }

    private(set) var places: [Place] = []

    init(_ message: [UInt8]) {
        guard message.count >= IKEHeader.length else { return }
        var (type, start) = (message[16], IKEHeader.length)
        while type != 0, start + 4 <= message.count {
            let length = Int(message[start + 2]) << 8 | Int(message[start + 3])
            guard length >= 4, start + length <= message.count else { return }
            places.append(Place(type: type, range: start..<start + length))
            // What lies within an encrypted payload is not ours to read.
            guard type != PayloadType.encrypted.rawValue else { return }
            (type, start) = (message[start], start + length)
        }
    }
}
