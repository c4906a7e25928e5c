// A cloud function as the cloud runs it, unchanged: every five seconds it logs, and returns a sum.
exports.main = async (event, context) => {
  console.log(`${event.TriggerName} at ${event.Time}`)
  const sum = [5, 2, 0].reduce((total, number) => total + number, 0)
  console.log('sum', sum)
  return { sum }
}
