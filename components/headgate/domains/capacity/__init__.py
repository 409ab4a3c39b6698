"""Capacity: how much load will come, each minute for months and each week for two years?"""
