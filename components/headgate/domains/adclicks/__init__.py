"""Robotic ad clicks: is this click one that an advertiser should not pay for?"""
