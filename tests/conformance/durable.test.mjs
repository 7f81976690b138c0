// The published suite for servers of durable streams, against the address that the test has started.
import { runConformanceTests } from '@durable-streams/server-conformance-tests';

runConformanceTests({ baseUrl: process.env.STREAMS_URL, longPollTimeoutMs: 5000 });
