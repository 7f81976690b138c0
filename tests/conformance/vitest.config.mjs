// What is run: all but what the test leaves out by name.
export default {
  test: {
    root: import.meta.dirname,
    include: ['durable.test.mjs'],
    testNamePattern: new RegExp(process.env.STREAMS_RUN ?? '.'),
    cache: false,
    testTimeout: 60_000, // milliseconds: what it is held to is what is answered, on a machine that is busy too
  },
};
