import Testing

@testable import Recovery

@Suite("Settings of a throwaway server")
struct ThrowawaySettingsTests {
    private func settings(isHotStandby: Bool, minimums: [String: UInt64] = [:]) -> ThrowawaySettings {
        ThrowawaySettings(
            folder: "/var/tmp/f", socketFolder: "/var/tmp/a \"b", bufferBytes: 1 << 20, isDurable: false, isHotStandby: isHotStandby, minimums: minimums,
            trackCommitTimestamp: false, libraries: ["pg_stat_statements"], timeZone: nil)
    }

    private func value(_ name: String, _ settings: ThrowawaySettings) -> String? { settings.values.first { $0.name == name }?.value }

    @Test("it is at least what replay needs, has no place for jobs, and reaches nobody")
    func values() {
        let least = ["max_connections": UInt64(300), "max_worker_processes": 12, "max_prepared_transactions": 7, "max_locks_per_transaction": 32]
        for isHotStandby in [false, true] {
            let settings = settings(isHotStandby: isHotStandby, minimums: least)
            #expect(value("max_connections", settings) == "300" && value("max_prepared_transactions", settings) == "7")
            #expect(value("max_locks_per_transaction", settings) == "64")
            // Readers before the end of recovery set a minimum; without them there is no place for any background worker.
            #expect(value("max_worker_processes", settings) == (isHotStandby ? "12" : "0"))
            #expect(value("hot_standby", settings) == (isHotStandby ? "on" : "off"))
            for name in ["listen_addresses", "archive_command", "primary_conninfo", "synchronous_standby_names", "session_preload_libraries"] {
                #expect(value(name, settings) == "", "\(name)")
            }
            #expect(value("archive_mode", settings) == "off" && value("max_logical_replication_workers", settings) == "0")
            #expect(value("unix_socket_directories", settings) == "\"/var/tmp/a \"\"b\"")
        }
        #expect(value("max_connections", settings(isHotStandby: false)) == "20")
    }

    @Test("what the server lacks is read from its log")
    func lacking() {
        let log = """
            2026-11-21 10:00:00 GMT [1] WARNING:  hot standby is not possible because of insufficient parameter settings
            2026-11-21 10:00:00 GMT [1] DETAIL:  max_connections = 20 is a lower setting than on the primary server, where its value was 100.
            2026-11-21 10:00:00 GMT [1] DETAIL:  max_wal_senders = 5 is a lower setting than on the primary server, where its value was 10.
            """
        let settings = settings(isHotStandby: true, minimums: ["max_wal_senders": 10, "max_prepared_transactions": 2])
        #expect(settings.lacking(log) == ["max_connections": 100])
        #expect(settings.lacking("FATAL:  maximum number of prepared transactions reached") == ["max_prepared_transactions": 64])
        #expect(settings.lacking("LOG:  all is well") == [:])
    }
}

@Suite("What PostgreSQL's programs say")
struct DrillOutputTests {
    @Test("each finding of pg_amcheck is one, with what is wrong with it")
    func structure() {
        let output = """
            heap table "shop.public.orders", block 2, offset 14:
                xmin 4294967295 equals or exceeds next valid transaction ID 0:738
            btree index "shop.public.orders_pkey":
                ERROR:  item order invariant violated for index "orders_pkey"
                DETAIL:  Lower index tid=(1,2) (points to heap tid=(0,1))
            pg_amcheck: error: connection to server was lost
            """
        #expect(
            StructureCheck.findings(output) == [
                "heap table \"shop.public.orders\", block 2, offset 14: xmin 4294967295 equals or exceeds next valid transaction ID 0:738",
                "btree index \"shop.public.orders_pkey\": ERROR:  item order invariant violated for index \"orders_pkey\"; "
                    + "DETAIL:  Lower index tid=(1,2) (points to heap tid=(0,1))",
                "pg_amcheck: error: connection to server was lost",
            ])
        #expect(StructureCheck.findings("").isEmpty)
    }

    @Test("each damaged page that pg_checksums names is a finding")
    func checksums() {
        let output = """
            pg_checksums: error: checksum verification failed in file "/d/base/5/16384", block 2: calculated checksum 8C3F but block contains 4DE1
            Checksum operation completed
            Files scanned:   946
            Blocks scanned:  2908
            Bad checksums:  1
            Data checksum version: 1
            """
        let (pages, findings) = ChecksumCheck.read(output, data: "/d")
        #expect(pages == 2908)
        #expect(findings == ["checksum verification failed in file \"base/5/16384\", block 2: calculated checksum 8C3F but block contains 4DE1"])
    }

    @Test("the first of very many findings are kept, and all are counted")
    func limits() {
        var report = DrillReport(time: "", source: "s", kind: "postgres", asked: "latest", host: "", user: "", programVersion: "")
        report.add(.init("a", .skipped, "not asked for"))
        #expect(report.outcome == .passed)
        report.add(.init("b", .failed, "all", findings: (0..<1000).map { "\($0)" }))
        #expect(report.outcome == .failed && report.message == "b: 0")
        #expect(report.checks[1].findings?.count == 100 && report.checks[1].findingsTotal == 1000)
    }
}
