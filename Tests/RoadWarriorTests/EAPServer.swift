import GatewayCrypto
import IKEMessages
import RoadWarrior
import Wire

/// The other side of the road warrior's EAP methods, written from the RFCs on digests and DES alone: what the client computes wrongly cannot agree
/// with it.
final class EAPServer {
    enum Step: Equatable {
        case request([UInt8])
        case success([UInt8], key: [UInt8]?)
        case failure([UInt8])
    }

    let method: EAPPeer.Kind
    var users: [String: String] = ["anna@example.org": "anna's password"]
    /// Types that are asked for before the method's own.
    var openings: [UInt8] = []
    /// It does not know what it lets in.
    var isImpostor = false
    private(set) var identity: [UInt8] = []
    /// Data of the responses, in order.
    private(set) var responses: [EAPPayload] = []
    private var identifier: UInt8 = 40
    private let challenge = SeededEntropy(seed: 11).octets(16)
    private var key: [UInt8]?
    private var failed = false

    init(_ method: EAPPeer.Kind) {
        self.method = method
    }

    func begin() -> [UInt8] { request(1, []) }

    func answer(_ octets: [UInt8]) throws -> Step {
        guard let response = EAPPayload(octets), response.code == 2, let type = response.type else { return end(false) }
        responses.append(response)
        let data = Array(octets.dropFirst(5))
        if type == 1 {
            identity = data
            return .request(opening())
        }
        if type == 3 {
            guard data.contains(method.type) else { return end(false) }
            return .request(opening())
        }
        if type == 2 { return .request(opening()) }
        guard type == method.type, let password = users[String(decoding: identity, as: UTF8.self)] else { return end(false) }
        switch method {
        case .md5: return end(data == [16] + Digest.md5([identifier] + Array(password.utf8) + challenge))
        case .gtc: return end(data == Array(password.utf8))
        case .mschapv2: return try answer(data, password)
        }
    }

    private func opening() -> [UInt8] {
        if !openings.isEmpty { return request(openings.removeFirst(), [0]) }
        switch method {
        case .md5: return request(4, [16] + challenge + Array("server".utf8))
        case .gtc: return request(6, Array("Password: ".utf8))
        case .mschapv2: return request(26, Self.message(1, 77, [16] + challenge + Array("server".utf8)))
        }
    }

    private func answer(_ data: [UInt8], _ password: String) throws -> Step {
        if data == [3], key != nil { return end(true) }
        if data == [4], failed { return end(false) }
        guard data.count == 54 + identity.count, Array(data[..<5]) == [2, 77, 0, UInt8(data.count), 49], Array(data[54...]) == identity,
            Array(data[21..<29]) == [UInt8](repeating: 0, count: 8), data[53] == 0
        else { return end(false) }
        let peer = Array(data[5..<21])
        let response = Array(data[29..<53])
        let hash = try Digest.md4(password.utf16.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] })
        let user = identity.firstIndex(of: UInt8(ascii: "\\")).map { Array(identity[($0 + 1)...]) } ?? identity
        let short = Array(Digest.sha1(peer + challenge + user)[..<8])
        let third = Array(hash[14...]) + [0, 0, 0, 0, 0]
        let expected = try DES.encrypt(short, key: Array(hash[..<7])) + DES.encrypt(short, key: Array(hash[7..<14])) + DES.encrypt(short, key: third)
        guard response == expected || isImpostor else {
            failed = true
            return .request(request(26, Self.message(4, 77, Array("E=691 R=1 C=00112233445566778899aabbccddeeff V=3 M=No".utf8))))
        }
        let twice = try Digest.md4(hash)
        let inner = Digest.sha1(twice + response + Array("Magic server to client signing constant".utf8))
        var proof = Digest.sha1(inner + short + Array("Pad to make it do more than one iteration".utf8))
        if isImpostor { proof[7] ^= 0x10 }
        let master = Array(Digest.sha1(twice + response + Array("This is the MPPE Master Key".utf8))[..<16])
        func start(_ words: String) -> [UInt8] {
            Array(Digest.sha1(master + [UInt8](repeating: 0, count: 40) + Array(words.utf8) + [UInt8](repeating: 0xf2, count: 40))[..<16])
        }
        // MS-MPPE-Recv-Key, then MS-MPPE-Send-Key, of the server.
        key =
            start("On the client side, this is the send key; on the server side, it is the receive key.")
            + start("On the client side, this is the receive key; on the server side, it is the send key.") + [UInt8](repeating: 0, count: 32)
        return .request(request(26, Self.message(3, 77, Array("S=\(proof.hexadecimal.uppercased()) M=Welcome".utf8))))
    }

    private func end(_ good: Bool) -> Step {
        good ? .success([3, identifier, 0, 4], key: key) : .failure([4, identifier, 0, 4])
    }

    private func request(_ type: UInt8, _ data: [UInt8]) -> [UInt8] {
        identifier &+= 1
        return Self.packet(identifier, type, data)
    }

    static func packet(_ identifier: UInt8, _ type: UInt8, _ data: [UInt8]) -> [UInt8] {
        var packet: [UInt8] = [1, identifier]
        packet.append(bigEndian: UInt16(5 + data.count))
        return packet + [type] + data
    }

    /// Type data of EAP-MSCHAPv2.
    static func message(_ code: UInt8, _ number: UInt8, _ rest: [UInt8]) -> [UInt8] {
        var message = [code, number]
        message.append(bigEndian: UInt16(4 + rest.count))
        return message + rest
    }
}
