internal import Glibc

/// Open descriptors in the order in which they were opened, to be taken one by one; what nobody takes is closed with the row.
struct DescriptorRow: ~Copyable, Sendable {
    /// -1 where one was taken.
    private var numbers: [Int32] = []

    init() {}

    deinit {
        for number in numbers where number >= 0 { _ = close(number) }
    }

    mutating func append(_ descriptor: consuming FileDescriptor) {
        numbers.append(descriptor.released())
    }

    /// The descriptor at `index`; nil once taken or where there is none.
    mutating func take(_ index: Int) -> FileDescriptor? {
        guard numbers.indices.contains(index), numbers[index] >= 0 else { return nil }
        defer { numbers[index] = -1 }
        return FileDescriptor(owning: numbers[index])
    }
}
