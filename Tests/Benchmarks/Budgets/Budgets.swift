import Glibc
import LinuxIO

/// Sends packets of each shape through one worker's core, in memory, for callgrind to count: Tests/Benchmarks/budgets runs it. Prints a line for each
/// shape: its name and how many packets `budgetWindow` carried.
@main
struct Budgets {
    static func main() throws {
        for wanted in BudgetCase.all {
            var rig = try BudgetRig(wanted.engine, joins: wanted.isSuper)
            let warm = 2
            let batches = try rig.batches(wanted, warm + wanted.batches)
            var packets = 0
            for number in 0..<warm { packets += rig.pass(wanted.way, batches[number]) }
            packets += budgetWindow(&rig, wanted.way, batches + warm, wanted.batches)
            guard packets == wanted.packetsPerBatch * (warm + wanted.batches), rig.drops == 0 else {
                print("\(wanted.name): \(packets) packets left, \(rig.drops) were dropped")
                exit(1)
            }
            budgetReport(wanted)
            batches.deinitialize(count: warm + wanted.batches)
            batches.deallocate()
        }
    }

    /// After each window: callgrind dumps what it counted there when this is called.
    @inline(never)
    static func budgetReport(_ wanted: BudgetCase) { print("\(wanted.name) \(wanted.packets)") }

    /// What is counted: callgrind knows it by name.
    @inline(never)
    static func budgetWindow(_ rig: inout BudgetRig, _ way: BudgetCase.Way, _ batches: UnsafeMutablePointer<Batch>, _ count: Int) -> Int {
        var packets = 0
        for number in 0..<count { packets &+= rig.pass(way, batches[number]) }
        return packets
    }
}
