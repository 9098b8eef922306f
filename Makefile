# What people type. Scripts behind it are in contrib/quickstart; nothing here is clever.
# Swift is found also under sudo's secure_path.

SHELL := /bin/bash
SWIFT = "$$(contrib/quickstart/find-swift)"

# suites with sockets, processes and timeouts: their clocks would starve beside those that need the processors, or many at once
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH = 6
TIMED = ^(DatapathTests|GatewayManagementTests|GatewayTests|LinuxIOTests|RoadWarriorTests|StateStoreTests)\.

.PHONY: run demo test check lint openssl-only scenarios soak fuzz format bench budgets

# installs what is missing, builds, writes a first configuration, runs the gateway and says how to connect
run:
	contrib/quickstart/run

# gateway, FreeRADIUS, three strongSwan clients and an inner host in network namespaces; cleans up after itself
demo:
	contrib/quickstart/demo

# everything, scenarios included (as root). In three parts, by what needs the processors and what a clock
test:
	contrib/quickstart/install-packages build test
	$(SWIFT) build --build-tests
	contrib/quickstart/run-tests --filter '$(TIMED)'
	contrib/quickstart/run-tests --skip 'ScenarioTests|$(TIMED)'
	contrib/quickstart/run-tests --filter ScenarioTests

# format, floors, purity, hot path, and that what the documents name is there
lint:
	contrib/quickstart/install-packages build
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests
	contrib/checks/floors
	contrib/checks/purity
	contrib/checks/hot-path
	contrib/checks/coverage

# what a packet costs, counted by callgrind, against what is recorded
budgets:
	contrib/quickstart/install-packages build budgets
	Tests/Benchmarks/budgets

# the table of docs/performance.md, ours and strongSwan's, or rows of it: make bench ROWS="tcp wire thin cbc sessions memory setup flood workers" RUNS=1
ROWS =
RUNS = 3
bench:
	contrib/quickstart/install-packages build run bench
	for product in ipsec-gw ipsec-gwctl ipsec-load; do $(SWIFT) build -c release --scratch-path .build-release --product $$product || exit 1; done
	Tests/Benchmarks/bench --runs $(RUNS) $(if $(ROWS),--rows $(ROWS))

# what lint says, budgets and unit tests: about two minutes on a warm build
check: lint budgets
	$(SWIFT) build --build-tests
	contrib/quickstart/run-tests --filter '$(TIMED)'
	contrib/quickstart/run-tests --skip 'ScenarioTests|$(TIMED)'

# the tests of what there are two engines for, in a build without intel-ipsec-mb: what processors other than x86-64 have
openssl-only:
	contrib/quickstart/install-packages build
	IPSEC_GW_OPENSSL_ONLY=tests $(SWIFT) build --scratch-path .build-openssl --product ipsec-gwPackageTests
	IPSEC_GW_OPENSSL_ONLY=tests contrib/quickstart/run-tests --scratch-path .build-openssl --filter '$(TIMED)'
	IPSEC_GW_OPENSSL_ONLY=tests contrib/quickstart/run-tests --scratch-path .build-openssl --skip '$(TIMED)'

# all scenarios, or those whose name begins with S: make scenarios S=Login
scenarios:
	contrib/quickstart/install-packages build test
	$(SWIFT) build --build-tests
	contrib/quickstart/run-tests --filter 'ScenarioTests\.$(S)'

# a million random schedules of logins, and as many of rekeys and Deletes that collide; 10^5 variants of strangers' messages; a million random packets by both
# crypto engines; 300 MB each way through each combination of offloads, over IPv4 and over IPv6. Release-built: about an hour on two cores. make soak SCHEDULES=50000
SCHEDULES = 1000000
soak:
	contrib/quickstart/install-packages build test
	$(SWIFT) build -c release -Xswiftc -enable-testing --build-tests
	IPSEC_GW_SCHEDULES=$(SCHEDULES) $(SWIFT) test -c release -Xswiftc -enable-testing --skip-build --filter 'IKETests\..*ScheduleTests'
	IPSEC_GW_OCTETS=300000000 $(SWIFT) test -c release -Xswiftc -enable-testing --skip-build --filter OwnClientOffloadTests
	IPSEC_GW_VARIANTS=100000 $(SWIFT) test -c release -Xswiftc -enable-testing --skip-build --filter threat_C10_amplification
	IPSEC_GW_RECORDS=$(SCHEDULES) $(SWIFT) test -c release -Xswiftc -enable-testing --skip-build --filter EngineDifferenceTests

# libFuzzer on every target, or on those named: make fuzz FUZZ_TARGETS="esp inner" FUZZ_SECONDS=600
fuzz:
	contrib/quickstart/install-packages build
	Tests/Fuzz/run $(FUZZ_TARGETS)

format:
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests
