import IKEMessages
import LinuxIO
import Wire

/// A flood of our own addresses: IKE_SA_INIT requests that nothing follows, or messages of which something is wrong.
struct OwnFlood: FloodOrigin, ~Copyable {
    private final class Source {
        var port: UDPPort
        init(_ port: consuming UDPPort) { self.port = port }
    }

    private let templates: InitTemplates
    private let remote: Endpoint
    private let natRemote: Endpoint
    private let isMalformed: Bool
    private var sources: [Source] = []
    private var next = 0
    private var poller: Poller
    private var incoming = Batch(capacity: 256, room: 2048)
    private var outgoing = Batch(capacity: 256, room: 2048)
    private var generator: SplitMix64
    /// IKE SAs that the gateway has begun with us, the last few.
    private var live: [(initiator: UInt64, responder: UInt64)] = []
    private let headers: Int

    /// Of one source, before the next one's.
    private static let run = 64
    var turn: Int { Self.run }
    var missed: Int { 0 }

    init(
        _ templates: InitTemplates, remote: Endpoint, natPort: UInt16, sources endpoints: [Endpoint], isMalformed: Bool
    ) throws(SystemError) {
        self.templates = templates
        self.remote = remote
        natRemote = Endpoint(remote.address, port: natPort)
        self.isMalformed = isMalformed
        generator = SplitMix64(seed: templates.seed)
        headers = SpoofedPacket.headers(remote.address.family)
        let poller = try Poller(capacity: 512)
        try OwnUse.raiseDescriptorLimit(to: endpoints.count + 64)
        var options = UDPOptions()
        options.packetsPerCall = endpoints.count > 64 ? Self.run : 256
        options.receiveBuffer = endpoints.count > 64 ? 1 << 20 : 32 << 20
        for (number, endpoint) in endpoints.enumerated() {
            let source = Source(try UDPPort(endpoint, options: options))
            try poller.add(source.port.descriptor, token: UInt64(number))
            sources.append(source)
        }
        self.poller = poller
    }

    mutating func read(until deadline: Instant, isOver: Bool, _ book: inout FloodBook) throws(SystemError) {
        _ = try poller.wait(until: deadline)
        for index in 0..<poller.count { try read(Int(poller[index].token), &book, returnsCookies: !isOver) }
    }

    mutating func send(_ count: Int, _ book: inout FloodBook) {
        outgoing.removeAll()
        let source = sources[next]
        next = next + 1 == sources.count ? 0 : next + 1
        for _ in 0..<count {
            let spi = generator.next() | 1
            let template = templates[spi]
            guard isMalformed else {
                guard let index = outgoing.append(length: template.octets.count) else { break }
                unsafe template.write(spi: spi, seed: templates.seed, into: outgoing.octets(index))
                outgoing[index].peer = remote
                continue
            }
            // A few are well-formed, for the gateway to have IKE SAs that something can be wrong with.
            let wrong = generator.next() % 32 == 0 ? nil : Malformation.allCases.randomElement(using: &generator)
            let base = template.message(spi: spi, seed: templates.seed)
            book.malformations[wrong?.rawValue ?? "none", default: 0] += 1
            guard let wrong else {
                append(base, to: remote)
                continue
            }
            let message = wrong.message(from: base, live: live.randomElement(using: &generator), using: &generator)
            append(message.octets, to: message.isForNATPort ? natRemote : remote)
        }
        flush(source, &book)
    }

    private mutating func append(_ octets: [UInt8], to peer: Endpoint) {
        let nobody = Endpoint(IPAddress(family: peer.address.family, value: 0), port: 0)
        _ = unsafe octets.withUnsafeBytes { unsafe outgoing.append(copying: $0, to: peer, from: nobody) }
    }

    private mutating func flush(_ source: Source, _ book: inout FloodBook) {
        let refused = source.port.counters.refused
        let reached = source.port.sendAll(outgoing) - Int(source.port.counters.refused - refused)
        book.sent += reached
        for index in 0..<outgoing.count { book.octetsSent += headers + outgoing[index].length }
        outgoing.removeAll()
    }

    private mutating func read(_ number: Int, _ book: inout FloodBook, returnsCookies: Bool) throws(SystemError) {
        let source = sources[number]
        outgoing.removeAll()
        for _ in 0..<4 {
            guard try source.port.receive(into: &incoming) > 0 else { break }
            for index in 0..<incoming.count {
                let datagram = unsafe [UInt8](incoming.octets(index))
                let peer = incoming[index].peer
                guard peer.address == remote.address else { continue }
                let message = peer.port == natRemote.port ? datagram.dropFirst(4) : datagram[...]
                switch book.answers.note(message, octets: headers + datagram.count) {
                case .cookie(let spi, let cookie) where returnsCookies && !outgoing.isFull:
                    // Of those of whom something is wrong a few, or the gateway would have no IKE SA of ours while it asks for cookies.
                    guard !isMalformed || generator.next() % 8 == 0 else { continue }
                    append(templates[spi].message(spi: spi, seed: templates.seed, cookie: cookie), to: remote)
                    book.cookiesReturned += 1
                case .accepted(let initiator, let responder):
                    if live.count == 256 { live.removeFirst() }
                    live.append((initiator, responder))
                case .cookie, .other: break
                }
            }
        }
        if !outgoing.isEmpty { flush(source, &book) }
    }
}
