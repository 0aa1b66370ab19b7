export const handler = async (event) =>
  process.env.BENCH_ECHO ? event : { statusCode: 200, body: "ok" };
