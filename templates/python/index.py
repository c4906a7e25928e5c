def main_handler(event, context):
    """Called at each fire; what it returns is kept in the history."""
    print(f"{event['TriggerName']} was due at {event['Time']}")
    return {"message": event["Message"]}
