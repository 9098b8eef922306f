import ESP
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Wire

/// Packets of one shape on one way through a worker.
struct BudgetCase {
    enum Way: String { case seal, open }

    let engine: CryptoEngine
    let way: Way
    /// Octets of each inner packet, its IPv4 header among them.
    let length: Int
    /// Packets of an entry: 1, or as many as the kernel joins.
    let packetsPerEntry: Int
    let entriesPerBatch: Int
    let batches: Int

    /// By each engine that this machine has.
    static let all = CryptoEngine.allCases.reversed().filter(\.isAvailable).flatMap { engine in
        [Way.seal, .open].flatMap { way in
            [64, 1400].flatMap { length in
                [
                    BudgetCase(engine: engine, way: way, length: length, packetsPerEntry: 1, entriesPerBatch: 64, batches: 32),
                    BudgetCase(
                        engine: engine, way: way, length: length, packetsPerEntry: length == 64 ? 64 : 44, entriesPerBatch: 4, batches: 12),
                ]
            }
        }
    }

    var name: String { "\(way.rawValue)-\(length)\(isSuper ? "-super" : "")\(engine == .openSSL ? "" : "-mb")" }
    var isSuper: Bool { packetsPerEntry > 1 }
    var packetsPerBatch: Int { packetsPerEntry * entriesPerBatch }
    var packets: Int { packetsPerBatch * batches }

    /// Long packets are a TCP flow, short ones datagrams.
    private var isTCP: Bool { length > 576 }
    private var transportHeader: Int { isTCP ? 20 : 8 }
    private var payload: Int { length - 20 - transportHeader }

    /// All packets of an entry as the kernel hands them over, towards the client or from it.
    private func superPacket(of count: Int) -> [UInt8] {
        let ends = way == .seal ? (from: BudgetRig.server, to: BudgetRig.client) : (from: BudgetRig.client, to: BudgetRig.server)
        let content = (0..<(payload * count)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var transport = Packets.udp(4000, 5000, octets: 0)
        transport.patch(bigEndian: UInt16(8 + content.count), at: 4)
        if isTCP { transport = Packets.tcp(ends.from, ends.to, flags: 0x10) }
        return Packets.ipv4(ends.from, ends.to, protocol: isTCP ? 6 : 17, flags: 2, payload: transport + content)
    }

    /// The packets of an entry one by one, checksums right.
    func singlePackets() throws -> [[UInt8]] {
        var whole = superPacket(of: packetsPerEntry)
        let (isTCP, payload) = (isTCP, payload)
        let cut: Result<[[UInt8]], Drop> = whole.withUnsafeMutableBytes { octets in
            let view = PacketView(octets)
            do throws(Drop) {
                let segments = try Segmentation(InnerPacket(view), view, isTCP: isTCP, size: payload)
                return .success(
                    (0..<segments.count).map { index in
                        var packet = [UInt8](repeating: 0, count: segments.length(of: index))
                        let written = packet.withUnsafeMutableBytes { segments.write(index, of: view, to: PacketView($0)) }
                        precondition(written == packet.count, "a segment was not written")
                        return packet
                    })
            } catch {
                return .failure(error)
            }
        }
        return try cut.get()
    }

    /// An entry of a TUN device, with what the kernel left to us.
    func append(fromInsideTo batch: inout Batch) throws {
        let octets = isSuper ? superPacket(of: packetsPerEntry) : try singlePackets()[0]
        let place = octets.withUnsafeBytes { batch.append(copying: $0, to: BudgetRig.nowhere, from: BudgetRig.nowhere) }
        guard let place, isSuper else { return }
        batch[place].offload.flags = OffloadHeader.needsChecksum
        batch[place].offload.kind = isTCP ? OffloadHeader.tcpIPv4 : OffloadHeader.udp
        batch[place].offload.headerLength = UInt16(20 + transportHeader)
        batch[place].offload.segmentSize = UInt16(payload)
        batch[place].offload.checksumStart = 20
        batch[place].offload.checksumOffset = isTCP ? 16 : 6
    }
}
