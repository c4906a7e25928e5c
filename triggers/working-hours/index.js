// Weekdays from 9 to 12 and from 14 to 18, every five seconds.
//
// `9-12` in the hour field would fire until 12:59:55, because a range includes the whole of its last hour. So each
// trigger lists its hours, and `closing` adds the last moment of each half of the day.
exports.main = async (event) => {
  console.log(`${event.Message} ${event.Time}`)
  return { open: event.TriggerName !== 'closing' }
}
