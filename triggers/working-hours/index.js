// Weekdays from 9 to 12 and from 14 to 18, every five seconds.
//
// `9-12` in the hour field would run until 12:59:55: the range ends with the hour, not at its start. So the two
// ranges end an hour earlier, and `closing` adds the last moment of each.
exports.main = async (event) => {
  console.log(`${event.Message} ${event.Time}`)
  return { open: event.TriggerName !== 'closing' }
}
